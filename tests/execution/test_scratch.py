"""Temporary files carry their process's mark, and go when it has gone."""

import dataclasses
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from af3opt.execution.claims.holder import this_process
from af3opt.execution.interrupt import InterruptGuard
from af3opt.execution.scratch import mark_of, marked_temporaries, remove_of_the_dead


@pytest.fixture
def scratch(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


@pytest.fixture
def dead():
    """Who a process was that has ended, on this machine."""
    program = "import json, dataclasses as d; from af3opt.execution.claims.holder import *; "
    program += "print(json.dumps(d.asdict(this_process())))"
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    return dataclasses.replace(this_process(), **json.loads(said.stdout))


def left_by(process, folder, name="x"):
    path = folder / f"{mark_of(process)}{name}"
    path.mkdir()
    (path / "survivors-0.fasta").write_text(">x\n")
    return path


def test_files_made_inside_the_block_carry_the_mark(scratch):
    with marked_temporaries(InterruptGuard()):
        made = Path(tempfile.mkdtemp())
    assert made.name.startswith(mark_of(this_process()))
    assert not Path(tempfile.mkdtemp()).name.startswith("af3opt-")


def test_what_a_dead_process_left_is_removed(scratch, dead):
    gone = left_by(dead, scratch)
    kept = [left_by(this_process(), scratch), scratch / "af3opt-notes", scratch / "tmpabc"]
    for path in kept[1:]:
        path.mkdir()
    with marked_temporaries(InterruptGuard()):
        assert not gone.exists()
        assert all(path.exists() for path in kept)


def test_what_a_failed_search_has_left_goes_at_the_end(scratch, dead):
    others = [scratch / "af3opt-notes", scratch / "tmpabc"]
    for path in others:
        path.mkdir()
    with marked_temporaries(InterruptGuard()):
        made = Path(tempfile.mkdtemp())
        others.append(left_by(dead, scratch))
    assert not made.exists()
    assert all(path.exists() for path in others)


@pytest.mark.parametrize(
    "change",
    [{"host": "elsewhere"}, {"boot": "another"}, {"namespace": "pid:[1]"}],
    ids=lambda change: next(iter(change)),
)
def test_what_is_of_another_machine_stays(scratch, dead, change):
    foreign = left_by(dataclasses.replace(dead, **change), scratch)
    remove_of_the_dead(this_process())
    assert foreign.exists()


def test_without_an_identity_of_the_machine_nothing_is_removed(scratch, dead):
    path = left_by(dataclasses.replace(dead, boot=""), scratch)
    remove_of_the_dead(dataclasses.replace(this_process(), boot=""))
    assert path.exists()


def test_a_link_is_neither_followed_nor_removed(scratch, dead, tmp_path_factory):
    precious = tmp_path_factory.mktemp("precious")
    (precious / "data").write_text("x")
    link = scratch / f"{mark_of(dead)}link"
    link.symlink_to(precious)
    inside = left_by(dead, scratch) / "link"
    inside.symlink_to(precious)
    remove_of_the_dead(this_process())
    assert (precious / "data").exists()
    assert link.is_symlink()
    assert not inside.parent.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_what_belongs_to_another_user_stays(scratch, dead):
    path = left_by(dead, scratch)
    os.chown(path, 12345, 12345)
    remove_of_the_dead(this_process())
    assert path.exists()


def test_a_reused_process_id_does_not_keep_what_is_left(scratch, dead):
    same_id = dataclasses.replace(dead, process_id=os.getpid(), process_uptime=1.0)
    path = left_by(same_id, scratch)
    remove_of_the_dead(this_process())
    assert not path.exists()
