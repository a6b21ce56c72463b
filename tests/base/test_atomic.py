"""Atomic writes: complete, or as if nothing had happened."""

import ctypes
import os
import signal
import subprocess
import sys
import textwrap
import time

import pytest

from af3opt.base import atomic


def test_content_replaces_the_file_and_leaves_no_temporary(tmp_path):
    path = tmp_path / "x.json"
    atomic.atomic_write_text(path, "one")
    atomic.atomic_write_text(path, "two")
    assert path.read_text() == "two"
    assert [item.name for item in tmp_path.iterdir()] == ["x.json"]


def test_failure_keeps_the_old_content(tmp_path):
    path = tmp_path / "x.bin"
    atomic.atomic_write_bytes(path, b"old")
    with pytest.raises(RuntimeError), atomic.atomic_file(path) as stream:  # noqa: PT012
        stream.write(b"half")
        raise RuntimeError
    assert path.read_bytes() == b"old"
    assert len(list(tmp_path.iterdir())) == 1


def test_permissions_follow_the_umask(tmp_path):
    old = os.umask(0o027)
    try:
        atomic.atomic_write_bytes(tmp_path / "x", b"")
    finally:
        os.umask(old)
    assert (tmp_path / "x").stat().st_mode & 0o777 == 0o640


def test_directory_appears_whole_and_replaces_the_old_one(tmp_path):
    target = tmp_path / "seed-1_sample-0"
    with atomic.atomic_directory(target) as scratch:
        (scratch / "a").write_text("1")
        assert not target.exists()
    with atomic.atomic_directory(target) as scratch:
        (scratch / "b").write_text("2")
    assert [item.name for item in target.iterdir()] == ["b"]
    assert [item.name for item in tmp_path.iterdir()] == [target.name]


def test_failed_directory_leaves_nothing(tmp_path):
    with pytest.raises(OSError), atomic.atomic_directory(tmp_path / "d") as scratch:  # noqa: PT011, PT012
        (scratch / "a").write_text("1")
        raise OSError
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["x" * 255, "é" * 127])
def test_a_name_may_be_as_long_as_the_file_system_takes(tmp_path, name):
    atomic.atomic_write_text(tmp_path / name, "new")
    assert (tmp_path / name).read_text() == "new"
    with atomic.atomic_directory(tmp_path / f"{name[:-1]}y") as scratch:
        (scratch / "a").touch()
    assert len(list(tmp_path.iterdir())) == 2


def test_what_one_file_left_unfinished_is_told_from_anothers(tmp_path):
    mine, others = (atomic.temporary_sibling(tmp_path / name) for name in ("x", "x.y"))
    mine.touch()
    others.touch()
    atomic.remove_unfinished(tmp_path / "x")
    assert list(tmp_path.iterdir()) == [others]


def test_own_temporaries_are_told_from_others(tmp_path):
    mine = atomic.temporary_sibling(tmp_path / "x")
    other = tmp_path / ".x.af3opt-tmp-00000000-11111111"
    assert atomic.is_temporary(mine)
    assert atomic.is_temporary(other)
    assert atomic.is_own_temporary(mine)
    assert not atomic.is_own_temporary(other)


def test_kill_during_a_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "x.bin"
    path.write_bytes(b"old")
    code = textwrap.dedent(
        f"""
        from pathlib import Path
        from af3opt.base.atomic import atomic_file
        with atomic_file(Path({str(path)!r})) as stream:
            stream.write(b"new" * 1000)
            stream.flush()
            print("writing", flush=True)
            import time; time.sleep(60)
        """
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
    assert path.read_bytes() == b"old"


@pytest.mark.parametrize("kind", ["file", "link", "fifo"])
def test_a_directory_replaces_whatever_has_its_name(kind, tmp_path):
    path = tmp_path / "d"
    if kind == "file":
        path.write_text("x")
    elif kind == "link":
        path.symlink_to("nowhere")
    else:
        os.mkfifo(path)
    with atomic.atomic_directory(path) as scratch:
        (scratch / "a").write_text("1")
    assert [item.name for item in path.iterdir()] == ["a"]
    assert [item.name for item in tmp_path.iterdir()] == ["d"]


REPLACE = """
import ctypes, os, signal, sys
from pathlib import Path
from af3opt.base import atomic
exchange, path = sys.argv[1] == "exchange", Path(sys.argv[2])
if not exchange:
    ctypes.CDLL = lambda *_, **__: object()  # A C library without renameat2.
original = Path.rename
def rename(self, target):
    original(self, target)
    # At the first renaming of an existing directory, or right after the exchange.
    if self == path:
        os.kill(os.getpid(), signal.SIGKILL)
Path.rename = rename
atomic.remove_tree = lambda path: os.kill(os.getpid(), signal.SIGKILL)
with atomic.atomic_directory(path) as scratch:
    (scratch / "new").write_text("2")
"""


@pytest.mark.parametrize("how", ["exchange", "two renames"])
def test_a_directory_survives_a_kill_while_it_is_replaced(how, tmp_path):
    path = tmp_path / "d"
    path.mkdir()
    (path / "old").write_text("1")
    command = [sys.executable, "-c", REPLACE, how, str(path)]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    assert atomic.restore_replaced(path)
    content = [item.name for item in path.iterdir()]
    assert content == (["new"] if how == "exchange" else ["old"])
    with atomic.atomic_directory(path) as scratch:
        (scratch / "newest").write_text("3")
    assert [item.name for item in path.iterdir()] == ["newest"]


def test_there_is_nothing_to_restore(tmp_path):
    assert not atomic.restore_replaced(tmp_path / "d")


def test_names_are_swapped_in_two_steps_where_one_is_not_possible(tmp_path, monkeypatch):
    # A C library without renameat2.
    monkeypatch.setattr(ctypes, "CDLL", lambda *_, **__: object())
    for content in ("a", "b"):
        with atomic.atomic_directory(tmp_path / "d") as scratch:
            (scratch / content).write_text("1")
    assert [item.name for item in (tmp_path / "d").iterdir()] == ["b"]
    assert [item.name for item in tmp_path.iterdir()] == ["d"]
