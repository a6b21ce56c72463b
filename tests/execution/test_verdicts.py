"""Who is alive: what each sign is worth, with hosts, clocks and schedulers passed in."""

import dataclasses
import os
import resource
import subprocess
import threading
import time
from pathlib import Path

import psutil
import pytest

from af3opt.execution.claims import claim as claims
from af3opt.execution.claims.holder import SeenClaim, newest_claim, this_machine, this_process
from af3opt.execution.claims.verdicts import (
    FRESH_SECONDS,
    STALE_SECONDS,
    Evidence,
    Sign,
    gather_evidence,
    judge,
)
from af3opt.execution.job.claiming import JobHeldError

_NOW = 1_000_000.0


def sign(holder, *, silent=0.0, **evidence):
    """What is thought of a holder, `silent` seconds after its last heartbeat."""
    known = {"machine": this_machine(), "running": (), "let_go": (), "own_job": None}
    known |= {"alive": {}, "now": _NOW}
    seen = SeenClaim(Path("claim-0"), holder, _NOW - silent)
    return judge({0: seen}, Evidence(**(known | evidence)))[0].sign


def gathered(holder, machine):
    """What is thought of a holder that has just beaten, by a process on a machine."""
    seen = SeenClaim(Path("claim-0"), holder, _NOW)
    return judge({0: seen}, gather_evidence([seen], lambda: _NOW, machine=machine))[0].sign


@pytest.mark.parametrize("change", ["boot", "namespace", "host"])
def test_the_process_table_of_another_machine_tells_nothing(change):
    """A cloned host has the same name, a container perhaps the same ids."""
    dead = dataclasses.replace(this_process(), process_uptime=1.0)
    here = this_machine()
    assert gathered(dead, here) is Sign.FREE
    assert gathered(this_process(), here) is Sign.HELD
    assert gathered(dead, dataclasses.replace(here, **{change: "another"})) is Sign.HELD


def test_without_the_id_of_a_boot_only_heartbeats_tell():
    dead = dataclasses.replace(this_process(), process_uptime=1.0, boot="")
    assert gathered(dead, dataclasses.replace(this_machine(), boot="")) is Sign.HELD


def test_a_clock_that_is_set_makes_no_other_process():
    """Linux tells starts by the clock of now; only the distance to its boot stays."""
    holder = dataclasses.replace(this_process(), process_start=this_process().process_start - 3600)
    assert gathered(holder, this_machine()) is Sign.HELD
    assert JobHeldError(holder).by_this_process


def test_a_process_that_ended_and_was_not_collected_is_gone():
    with subprocess.Popen(["true"]) as child:
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        uptime = psutil.Process(child.pid).create_time() - psutil.boot_time()
        holder = dataclasses.replace(this_process(), process_id=child.pid, process_uptime=uptime)
        assert gathered(holder, this_machine()) is Sign.FREE


@pytest.mark.parametrize(
    ("silent", "expected"),
    [
        (0.0, Sign.DOUBTED),
        (FRESH_SECONDS, Sign.DOUBTED),
        (FRESH_SECONDS + 1, Sign.FREE),
        (-FRESH_SECONDS, Sign.DOUBTED),
    ],
)
def test_a_fresh_heartbeat_makes_a_scheduler_doubtful(silent, expected):
    """A job of another cluster may have the id of one that has ended here."""
    holder = dataclasses.replace(this_process(), host="elsewhere", job="12")
    assert sign(holder, silent=silent, alive={("slurm", "12"): False}) is expected
    assert sign(holder, silent=silent, alive={("slurm", "12"): True}) is Sign.HELD


@pytest.mark.parametrize("readable", [True, False])
@pytest.mark.parametrize(
    ("silent", "expected"),
    [
        (STALE_SECONDS, Sign.HELD),
        (STALE_SECONDS + 1, Sign.SILENT),
        (-STALE_SECONDS, Sign.HELD),
        (-STALE_SECONDS - 1, Sign.SILENT),
    ],
)
def test_heartbeats_decide_where_nothing_else_does(readable, silent, expected):
    """Also of a claim that is empty or damaged, and of a clock that was set back."""
    holder = dataclasses.replace(this_process(), host="elsewhere", job=None)
    assert sign(holder if readable else None, silent=silent) is expected


@pytest.mark.parametrize("content", ["", "{", "scheduler"])
@pytest.mark.parametrize("beats", [True, False])
def test_a_heartbeat_that_is_seen_keeps_a_job(tmp_path, monkeypatch, content, beats):
    """Of one whose scheduler's job has ended, and of one whose claim cannot be read."""
    monkeypatch.setattr(claims, "HEARTBEAT_SECONDS", 0.2)
    claims.try_claim(tmp_path)
    path = newest_claim(tmp_path)
    if content == "scheduler":
        squeue = tmp_path / "bin" / "squeue"
        squeue.parent.mkdir()
        squeue.write_text("#!/bin/sh\necho 12 COMPLETED\n")
        squeue.chmod(0o755)
        monkeypatch.setenv("PATH", str(squeue.parent), prepend=os.pathsep)
        claims._write(path, dataclasses.replace(this_process(), host="elsewhere", job="12"))
    else:
        path.write_text(content)
        old = path.stat().st_mtime - STALE_SECONDS - 3600
        os.utime(path, (old, old))
    stop = threading.Event()

    def beat():
        # The clock of this holder was set back: its heartbeats look old, and move.
        stamp = path.stat().st_mtime
        while not stop.wait(0.02):
            stamp += 0.02
            os.utime(path, (stamp, stamp))

    holder = threading.Thread(target=beat)
    if beats:
        holder.start()
    try:
        assert (claims.try_claim(tmp_path) is None) == beats
    finally:
        stop.set()
        if beats:
            holder.join()


def test_claims_of_a_lost_node_are_watched_together(tmp_path, monkeypatch):
    """One period for all, not one for each; a live one among them is seen to be alive."""
    monkeypatch.setattr(claims, "HEARTBEAT_SECONDS", 2.0)
    period = claims._HEARTBEATS_AWAITED * 2.0
    jobs = [tmp_path / f"job{number}" for number in range(10)]
    for job in jobs:
        claims.try_claim(job)
        path = newest_claim(job)
        holder = dataclasses.replace(this_process(), host="elsewhere", job=None)
        claims._write(path, holder)
        old = path.stat().st_mtime - STALE_SECONDS - 3600
        os.utime(path, (old, old))
    waited = []
    sleep = time.sleep

    def watching(seconds):
        waited.append(seconds)
        sleep(seconds)
        path = newest_claim(jobs[-1])
        stamp = path.stat().st_mtime + 1
        os.utime(path, (stamp, stamp))

    monkeypatch.setattr("af3opt.execution.claims.watch.time.sleep", watching)
    taken = [claims.try_claim(job) is not None for job in jobs]
    assert taken == [*[True] * 9, False]
    assert sum(waited) <= period * 1.5


def test_a_job_that_could_not_be_let_go_is_no_obstacle_to_its_own_process(tmp_path):
    """On a full disk the claim goes on to name this process, which lives."""
    claim = claims.try_claim(tmp_path)
    assert claims.try_claim(tmp_path) is None
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))
    try:
        claim.release()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert claims.newest_holder(tmp_path) == this_process()
    again = claims.try_claim(tmp_path)
    assert again is not None
    assert claims.try_claim(tmp_path) is None
