"""Claims: one holder at a time, dead holders outnumbered."""

import dataclasses
import json
import multiprocessing
import os
import stat
import time

import pytest

from af3opt.base import atomic, json_files
from af3opt.execution.claims import claim as claims
from af3opt.execution.claims import holder as holders
from af3opt.execution.claims import verdicts
from tests.execution.conftest import LONGEST_S, exit_code


def _rewrite_holder(directory, number=0, **change):
    path = directory / f"claim-{number}"
    holder = dataclasses.replace(holders.read_holder(path), **change)
    claims._write(path, holder)
    return path


def test_only_who_died_is_said_to_be_taken_over_from(tmp_path, caplog):
    caplog.set_level("INFO")
    claims.try_claim(tmp_path / "let_go").release()
    assert claims.try_claim(tmp_path / "let_go") is not None
    claims.try_claim(tmp_path / "dead")
    _rewrite_holder(tmp_path / "dead", process_uptime=1.0)
    assert claims.try_claim(tmp_path / "dead") is not None
    (message,) = caplog.messages
    assert message.startswith("Taking over dead: ")


def test_a_live_claim_keeps_others_out_until_released(tmp_path):
    claim = claims.try_claim(tmp_path / "job")
    assert claim is not None
    assert claims.try_claim(tmp_path / "job") is None
    assert claims.current_holder(tmp_path / "job") == holders.this_process()
    claim.release()
    assert claims.current_holder(tmp_path / "job") is None
    again = claims.try_claim(tmp_path / "job")
    assert again is not None
    assert again.is_current()
    assert not claim.is_current()


def test_a_dead_process_on_this_node_is_outnumbered_at_once(tmp_path):
    claims.try_claim(tmp_path)
    _rewrite_holder(tmp_path, process_uptime=1.0)
    assert claims.try_claim(tmp_path) is not None


def test_what_a_dead_worker_held_is_left_to_its_pool(tmp_path):
    """Until the pool, here this process, has waited for it: then its death is counted."""
    context = multiprocessing.get_context("spawn")
    worker = context.Process(target=claims.try_claim, args=(tmp_path,))
    worker.start()
    os.waitid(os.P_PID, worker.pid, os.WEXITED | os.WNOWAIT)
    assert claims.try_claim(tmp_path, pool=os.getpid()) is None
    assert exit_code(worker) == 0
    assert claims.try_claim(tmp_path, pool=os.getpid()) is not None


def test_a_process_outside_the_pool_need_not_wait_for_it(tmp_path):
    context = multiprocessing.get_context("spawn")
    worker = context.Process(target=claims.try_claim, args=(tmp_path,))
    worker.start()
    os.waitid(os.P_PID, worker.pid, os.WEXITED | os.WNOWAIT)
    assert claims.try_claim(tmp_path) is not None
    assert exit_code(worker) == 0


def test_another_node_is_trusted_until_it_is_silent_for_long(tmp_path, monkeypatch):
    monkeypatch.setattr(claims, "HEARTBEAT_SECONDS", 0.2)
    claims.try_claim(tmp_path)
    path = _rewrite_holder(tmp_path, host="elsewhere", job=None)
    assert claims.try_claim(tmp_path) is None
    old = time.time() - verdicts.STALE_SECONDS - 60
    os.utime(path, (old, old))
    assert claims.try_claim(tmp_path) is not None


@pytest.mark.parametrize(
    ("answer", "free"),
    [
        ("echo 12_3 RUNNING", False),
        ("echo 12_3 COMPLETED", True),
        ("echo 'slurm_load_jobs error: Invalid job id specified' >&2; exit 1", True),
        ("echo 'Unable to contact slurm controller' >&2; exit 1", False),
    ],
)
def test_slurm_decides_about_its_own_jobs(tmp_path, monkeypatch, answer, free):
    squeue = tmp_path / "bin" / "squeue"
    squeue.parent.mkdir()
    squeue.write_text(f"#!/bin/sh\n{answer}\n")
    squeue.chmod(squeue.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(squeue.parent), prepend=os.pathsep)
    monkeypatch.setattr(claims, "HEARTBEAT_SECONDS", 0.2)
    claims.try_claim(tmp_path / "job")
    _rewrite_holder(tmp_path / "job", host="elsewhere", job="12_3")
    assert (claims.try_claim(tmp_path / "job") is not None) == free


@pytest.mark.parametrize(("restarts", "free"), [("0", False), ("1", True)])
def test_a_requeued_job_takes_over_what_it_held_on_another_node(
    tmp_path, monkeypatch, restarts, free
):
    """Slurm keeps the id, and says of it that it runs."""
    squeue = tmp_path / "bin" / "squeue"
    squeue.parent.mkdir()
    squeue.write_text("#!/bin/sh\necho 12 RUNNING\n")
    squeue.chmod(squeue.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(squeue.parent), prepend=os.pathsep)
    monkeypatch.setenv("SLURM_JOB_ID", "12")
    monkeypatch.setattr(claims, "HEARTBEAT_SECONDS", 0.2)
    claims.try_claim(tmp_path / "job")
    path = _rewrite_holder(tmp_path / "job", host="elsewhere")
    monkeypatch.setenv("SLURM_RESTART_COUNT", restarts)
    assert (claims.try_claim(tmp_path / "job") is not None) == free
    if not free:  # another node of this very job: silence tells
        old = time.time() - verdicts.STALE_SECONDS - 60
        os.utime(path, (old, old))
        assert claims.try_claim(tmp_path / "job") is not None


def _race(directory, barrier, wins):
    barrier.wait(LONGEST_S)
    if claims.try_claim(directory) is not None:
        wins.put(os.getpid())
    barrier.wait(LONGEST_S)  # Nobody ends, and so frees its claim, before all have tried.


def test_of_many_processes_exactly_one_takes_a_dead_holders_job(tmp_path):
    claims.try_claim(tmp_path)
    _rewrite_holder(tmp_path, process_uptime=1.0)
    context = multiprocessing.get_context("spawn")
    barrier, wins = context.Barrier(6), context.Queue()
    processes = [context.Process(target=_race, args=(tmp_path, barrier, wins)) for _ in range(6)]
    for process in processes:
        process.start()
    assert [exit_code(process) for process in processes] == [0] * 6
    assert wins.qsize() == 1


def test_claims_of_other_versions_are_read(tmp_path):
    """Of one that knew Slurm only, and of one that tells more."""
    holder = {"host": "n1", "process_id": 7, "process_start": 1.5, "namespace": "pid:[1]"}
    path = tmp_path / "claim-0"
    path.write_text(json.dumps({**holder, "slurm_job": "9", "slurm_restarts": 2}))
    earlier = holders.read_holder(path)
    assert (earlier.job_name, earlier.job_restarts, earlier.released) == (("slurm", "9"), 2, False)
    path.write_text(json.dumps({**holder, "job": "9", "scheduler": "pbs", "rack": 3}))
    assert holders.read_holder(path).job_name == ("pbs", "9")


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"host": Infinity}', "[" * 50_000, "\x00"])
def test_a_damaged_claim_has_no_holder(tmp_path, text):
    path = tmp_path / "claim-0"
    path.write_text(text)
    assert holders.read_holder(path) is None


@pytest.mark.parametrize("alive", [True, False])
def test_what_a_dead_process_left_of_its_claim_is_no_rivals(tmp_path, alive):
    claim = claims.try_claim(tmp_path)
    holder = holders.this_process()
    if not alive:
        holder = dataclasses.replace(holder, process_uptime=1.0)
    temporary = atomic.temporary_sibling(tmp_path / "claim")
    temporary.write_bytes(json_files.to_json(holder))
    assert claim.is_of_rival(temporary) is alive


def test_a_claim_that_is_not_written_yet_may_be_a_rivals(tmp_path):
    claim = claims.try_claim(tmp_path)
    temporary = atomic.temporary_sibling(tmp_path / "claim")
    temporary.touch()
    assert claim.is_of_rival(temporary)
    old = time.time() - verdicts.STALE_SECONDS - 60
    os.utime(temporary, (old, old))
    assert not claim.is_of_rival(temporary)
