"""The end of a process's time, from a flag or from Slurm."""

import time

import pytest

from af3opt.execution.planning import deadline
from af3opt.progress import LearnedTimes
from af3opt.settings.settings import resolve_settings


@pytest.fixture
def times(tmp_path):
    learned = LearnedTimes(tmp_path / "times.json")
    return deadline.SeedTimes(resolve_settings([], {}), "device", learned)


@pytest.fixture
def scontrol(tmp_path, monkeypatch):
    """A `scontrol` that knows when one job ends; returns where it notes its arguments."""
    end = int(time.time()) + 100
    program = tmp_path / "bin" / "scontrol"
    program.parent.mkdir()
    asked = tmp_path / "asked"
    program.write_text(f"#!/bin/sh\necho $@ >{asked}\necho JobId=9 EndTime={end} X=y\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=":")
    return asked


def find(times, environ, *flags):
    return deadline.find_deadline(resolve_settings(flags, {}), environ, times)


def test_without_a_limit_everything_may_start(times):
    times.learn(16, 1e9)
    assert find(times, {}).allows(16)


def test_it_says_once_why_nothing_starts(times, caplog):
    times.learn(16, 500.0)
    limit = find(times, {}, "--max_runtime=100")
    assert not limit.allows(16)
    assert not limit.allows(16)
    (line,) = caplog.messages
    assert line.startswith(
        "No time for a seed of 16 tokens: 100 s are left, and it takes about 530 s"
    )


def test_the_slurm_jobs_end_is_the_limit(times):
    end = {"SLURM_JOB_ID": "9", "SLURM_JOB_END_TIME": str(int(time.time()) + 100)}
    limit = find(times, end)
    assert limit.allows(16)
    limit.learn(16, 80.0)
    assert not limit.allows(16)
    assert limit.allows(17) is False  # By what a seed of 16 tokens took.


def test_older_slurm_is_asked_about_this_task_alone(times, scontrol):
    find(times, {"SLURM_JOB_ID": "9"})
    assert scontrol.read_text().split()[-1] == "9"
    environ = {"SLURM_JOB_ID": "9", "SLURM_ARRAY_JOB_ID": "9", "SLURM_ARRAY_TASK_ID": "3"}
    limit = find(times, environ)
    assert scontrol.read_text().split()[-1] == "9_3"
    times.learn(16, 80.0)
    assert not limit.allows(16)


def test_what_is_learned_serves_the_next_process(times, tmp_path):
    times.learn(16, 50.0)
    again = deadline.SeedTimes(
        resolve_settings([], {}), "device", LearnedTimes(tmp_path / "times.json")
    )
    assert again.estimate(16) == 50.0
    assert not find(again, {}, "--max_runtime=60").allows(16)
    assert find(again, {}, "--max_runtime=600").allows(16)


def test_a_guess_never_keeps_a_seed_from_starting(times, caplog):
    caplog.set_level("INFO", logger="af3opt")
    limit = find(times, {}, "--max_runtime=900")
    limit.learn(16, 8.0, once=12.0)
    times.learn(16, 8.0)
    assert limit.allows(5120)
    assert limit.allows(5120)
    (line,) = caplog.messages
    assert line.startswith("A seed of 5120 tokens is tried though it may not end in time: 900 s")


def test_compiling_is_not_counted(times):
    times.learn(16, 8.0, once=500.0)
    assert find(times, {}, "--max_runtime=60").allows(16)
    assert times.once(16) == 500.0
