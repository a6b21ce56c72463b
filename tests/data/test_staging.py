"""Builds that are interrupted, or done twice at once."""

import os
import signal
import subprocess
import sys
import time

import pytest

from af3opt.base.errors import SetupError
from af3opt.data.staging import build_directory

WRITER = """
import sys, time
from pathlib import Path
from af3opt.data.staging import build_directory
folder = Path(sys.argv[1])
def fill(scratch):
    for number in range(20):
        (scratch / str(number)).write_text(sys.argv[2] * 1000)
        print("step", flush=True)
        time.sleep(float(sys.argv[3]))
build_directory(folder, fill, lambda made: (made / "19").is_file() or None)
"""


def start_writer(folder, mark, pause):
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, str(folder), mark, str(pause)], stdout=subprocess.PIPE
    )


def test_killed_builds_leave_nothing_that_looks_finished(tmp_path):
    folder = tmp_path / "result"
    for _ in range(5):
        writer = start_writer(folder, "a", 0.02)
        writer.stdout.readline()
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        assert not folder.exists()
    leftovers = list(tmp_path.iterdir())
    assert leftovers
    long_ago = time.time() - 7 * 3600
    for leftover in leftovers:
        os.utime(leftover, (long_ago, long_ago))
    build_directory(folder, lambda scratch: (scratch / "19").touch(), lambda _: True)
    assert [path.name for path in tmp_path.iterdir()] == ["result"]


def test_builds_at_the_same_time_give_one_whole_result(tmp_path):
    folder = tmp_path / "result"
    writers = [start_writer(folder, mark, 0.005) for mark in "abcd"]
    assert [writer.wait() for writer in writers] == [0] * 4
    contents = {path.read_text() for path in folder.iterdir()}
    assert len(list(folder.iterdir())) == 20
    assert len(contents) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["result"]


def test_another_build_may_be_taking_the_place_of_this_one(tmp_path):
    readings = iter([None, None, "theirs"])
    made = build_directory(
        tmp_path / "result", lambda scratch: (scratch / "file").touch(), lambda _: next(readings)
    )
    assert made == "theirs"


def test_what_is_built_is_private_whatever_the_umask(tmp_path):
    def fill(scratch):
        (scratch / "inner").mkdir()
        (scratch / "inner" / "file").touch()

    old = os.umask(0o002)
    try:
        build_directory(tmp_path / "result", fill, lambda _: True)
    finally:
        os.umask(old)
    made = [tmp_path / "result", *(tmp_path / "result").rglob("*")]
    assert [path.stat().st_mode & 0o777 for path in made] == [0o700, 0o700, 0o600]


def test_a_full_disk_is_one_line(tmp_path):
    def fill(scratch):
        raise OSError(28, "No space left on device")

    with pytest.raises(SetupError, match="No space left on device; free some space"):
        build_directory(tmp_path / "result", fill, lambda _: None)
    assert list(tmp_path.iterdir()) == []
