"""Several processes on one output directory; pools of workers, and what kills them."""

import json
import os
import re
import signal
import subprocess
import sys
import time

import psutil
import pytest

from af3opt.base.errors import ExitCode
from tests.conftest import REPOSITORY
from tests.engine.trees import differences
from tests.execution.conftest import Pool, leftovers, wait_for, write_input

pytestmark = [pytest.mark.engine, pytest.mark.slow]


def test_four_processes_do_each_of_forty_jobs_once(runs, tmp_path):
    inputs, output = tmp_path / "in", tmp_path / "out"
    for number in range(40):
        write_input(inputs, f"job{number:02}", [number + 1])
    processes = [runs.start(inputs, output, seconds=0.05) for _ in range(4)]
    assert [runs.end(process) for process in processes] == [ExitCode.OK] * 4
    steps = runs.steps()
    assert sorted(seed for _, _, seed in steps) == list(range(1, 41))
    assert len({process for process, _, _ in steps}) == 4
    assert len(list(output.glob("job??/*_ranking_scores.csv"))) == 40
    assert len([path for path in output.iterdir() if path.is_dir()]) == 41


@pytest.fixture
def two_cores():
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("needs two cores")


def test_a_pool_does_each_job_once_and_compiles_each_bucket_once(runs, inputs, tmp_path, two_cores):
    assert runs.run(inputs, tmp_path / "alone") == ExitCode.OK
    runs.log.unlink()
    trace = tmp_path / "trace.json"
    # Two of the four jobs are in another bucket.
    flags = ("--cpu_workers=2", "--buckets=6,16", f"--trace={trace}")
    pool = Pool(runs, inputs, tmp_path / "pool", *flags, DEVICE_STUB_TOGETHER="2")
    assert pool.end() == ExitCode.OK, pool.log
    steps = runs.steps()
    assert len(steps) == len({seed for _, _, seed in steps}) == 12
    assert len({process for process, _, _ in steps}) == 2
    # No worker had to begin with the bucket that the other one was compiling.
    first = {}
    for process, tokens, _ in steps:
        first.setdefault(process, tokens <= 6)
    assert sorted(first.values()) == [False, True]
    assert "[cpu 0] " in pool.log
    assert "[cpu 1] " in pool.log
    assert "4 done" in pool.log
    assert len({event["pid"] for event in json.loads(trace.read_text())["traceEvents"]}) == 2
    names = {path.name for path in (tmp_path / "pool").iterdir()} - {".af3opt"}
    assert names == {"job0", "job1", "job2", "job3"}


def test_a_killed_workers_job_is_tried_once_more_then_given_up(runs, inputs, tmp_path, two_cores):
    write_input(inputs, "deadly", [666])
    write_input(inputs, "unlucky", [667])
    pool = Pool(
        runs,
        inputs,
        tmp_path / "out",
        "--cpu_workers=2",
        DEVICE_STUB_KILLED_BY="666",
        DEVICE_STUB_KILLED_ONCE_BY="667",
    )
    assert pool.end() == ExitCode.SOME_FAILED, pool.log
    (failed,) = json.loads((tmp_path / "out" / "failed.json").read_text())
    assert failed["name"] == "deadly"
    assert "its worker died 2 times (killed by signal 9" in failed["reason"]
    assert "Done running 5 fold jobs." in pool.log
    seeds = [seed for _, _, seed in runs.steps()]
    assert seeds.count(666) == seeds.count(667) == 2
    assert leftovers(tmp_path / "out" / "unlucky") == []


def test_a_job_is_not_tried_again_before_the_pool_has_seen_its_worker_die(
    runs, inputs, tmp_path, two_cores
):
    """The pool is suspended while a worker dies and the other one asks for every job."""
    deadly = write_input(tmp_path / "deadly", "deadly", [666])
    (tmp_path / "list.txt").write_text("".join(f"{p}\n" for p in [deadly, *inputs.iterdir()]))
    flags = ("--cpu_workers=2", "--buckets=16")
    pool = Pool(runs, tmp_path / "list.txt", tmp_path / "out", *flags, DEVICE_STUB_KILLED_BY="666")
    workers = pool.wait_for_workers(2)
    pool.process.send_signal(signal.SIGSTOP)
    try:
        # The other worker ends, too, once only the deadly job is left, which it cannot have.
        wait_for(lambda: all(w.status() == psutil.STATUS_ZOMBIE for w in workers), seconds=250)
        assert [seed for _, _, seed in runs.steps()].count(666) == 1
    finally:
        pool.process.send_signal(signal.SIGCONT)
    assert pool.end() == ExitCode.SOME_FAILED, pool.log
    (failed,) = json.loads((tmp_path / "out" / "failed.json").read_text())
    assert failed["name"] == "deadly"
    assert [seed for _, _, seed in runs.steps()].count(666) == 2


def test_a_pool_that_was_suspended_still_stops(runs, inputs, tmp_path, two_cores):
    flags = ("--cpu_workers=2",)
    pool = Pool(runs, inputs, tmp_path / "out", *flags, DEVICE_STUB_SECONDS="2")
    wait_for(runs.steps, seconds=250)
    process = psutil.Process(pool.process.pid)
    for _ in range(3):
        process.suspend()
        wait_for(lambda: process.status() == psutil.STATUS_STOPPED)
        time.sleep(0.3)  # Longer than the pool waits between two looks.
        process.resume()
        wait_for(lambda: process.status() != psutil.STATUS_STOPPED)
    process.terminate()
    assert pool.end() == ExitCode.REQUEUE, pool.log
    assert leftovers(tmp_path / "out") == []


def test_a_pool_stops_when_it_is_told_to(runs, inputs, tmp_path, two_cores):
    flags = ("--cpu_workers=2",)
    pool = Pool(runs, inputs, tmp_path / "out", *flags, DEVICE_STUB_SECONDS="2")
    wait_for(runs.steps, seconds=250)
    pool.process.send_signal(signal.SIGTERM)
    assert pool.end() == ExitCode.REQUEUE
    assert leftovers(tmp_path / "out") == []
    assert runs.run(inputs, tmp_path / "out") == ExitCode.OK
    assert runs.run(inputs, tmp_path / "alone") == ExitCode.OK
    assert differences(tmp_path / "out", tmp_path / "alone") == []


def test_a_set_up_error_of_the_workers_is_one_line(runs, inputs, tmp_path, two_cores):
    weights = tmp_path / "none"
    flags = ("--cpu_workers=2", f"--model_dir={weights}")
    pool = Pool(runs, inputs, tmp_path / "out", *flags)
    assert pool.end() == ExitCode.USAGE
    errors = [line for line in pool.log.splitlines() if line.startswith("af3opt: error")]
    assert len(errors) == 1
    assert str(weights) in errors[0]


def test_a_pool_with_the_model_compiles_each_bucket_once(runs, tmp_path, two_cores):
    """Nothing is stubbed; the weights are random and of reduced depth."""
    inputs = tmp_path / "in"
    for number, length in enumerate((5, 6, 8, 20, 22, 24)):
        write_input(inputs, f"job{number}", [1], "MQIFVKTLTGKTITLEVEPSDTIENVKAKI"[:length])
    flags = runs.flags(inputs, tmp_path / "out", "--cpu_workers=2", "--num_recycles=1")
    done = subprocess.run(
        [sys.executable, "-m", "af3opt", "run", *flags],
        cwd=REPOSITORY,
        env={**os.environ, "AF3OPT_JAX_COMPILATION_CACHE_DIR": str(tmp_path / "compiled")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == ExitCode.OK, done.stderr
    models = re.findall(r"\[(cpu \d)\] .* Model for (\d+) tokens: (\w+) in", done.stderr)
    compiled = sorted(tokens for _, tokens, how in models if how == "traced")
    assert compiled == ["16", "32"], models
    # The other worker of a bucket, if there was one, took what the first had compiled.
    assert all(how in ("traced", "loaded") for _, _, how in models), models
    assert {worker for worker, _, _ in models} == {"cpu 0", "cpu 1"}


def test_gpus_that_jax_cannot_use_are_no_reason_for_the_cpu(runs, inputs, tmp_path):
    program = tmp_path / "bin" / "nvidia-smi"
    program.parent.mkdir()
    row = "GPU-%s, NVIDIA A100-SXM4-80GB, 8.0, 81920, 550.54"
    program.write_text(f"#!/bin/sh\necho '0, {row % 'a'}'\necho '1, {row % 'b'}'\n")
    program.chmod(0o755)
    flags = runs.flags(inputs, tmp_path / "out", "--gpus=all")
    done = subprocess.run(
        [sys.executable, "-m", "af3opt", "run", *(f for f in flags if "jax_backend" not in f)],
        cwd=REPOSITORY,
        env={**os.environ, "PATH": f"{program.parent}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == ExitCode.USAGE, done.stderr
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("af3opt: error")]
    assert "--jax_backend=gpu" in line
