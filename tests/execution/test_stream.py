"""The stages of neighbouring seeds overlap, in order, and errors come out."""

import functools
import threading
import time

import pytest

from af3opt.execution.batch.stream import Stages
from af3opt.execution.batch.units import SeedCount


def _same(unit):
    return unit


def _stages(log, pause):
    def units(count):
        for seed in range(count):
            log.append(("begin", seed))
            yield seed

    def featurise(seed):
        time.sleep(pause)
        log.append(("featurise", seed))
        return seed

    def infer(seed):
        time.sleep(pause)
        log.append(("infer", seed))
        return None if seed == 1 else seed

    def write(seed):
        time.sleep(pause)
        log.append(("write", seed))

    return units, featurise, infer, write


def _three_threads(stages):
    stages.run_overlapped(threads=3)


@pytest.mark.parametrize("run", [Stages.run_in_turn, Stages.run_overlapped, _three_threads])
def test_every_stage_sees_the_seeds_in_order(run):
    log = []
    units, featurise, infer, write = _stages(log, 0.001)
    run(Stages(units(4), featurise, infer, write))
    assert [seed for stage, seed in log if stage == "begin"] == [0, 1, 2, 3]
    assert sorted(seed for stage, seed in log if stage == "featurise") == [0, 1, 2, 3]
    assert [seed for stage, seed in log if stage == "infer"] == [0, 1, 2, 3]
    assert [seed for stage, seed in log if stage == "write"] == [0, 2, 3]


def test_the_next_seed_is_featurised_while_one_runs():
    running = threading.Event()
    featurised_meanwhile = threading.Event()

    def featurise(seed):
        if seed == 1:
            assert running.wait(10)
            featurised_meanwhile.set()
        return seed

    def infer(seed):
        if seed == 0:
            running.set()
            assert featurised_meanwhile.wait(10)
        return seed

    written = []
    Stages(iter([0, 1]), featurise, infer, written.append).run_overlapped()
    assert written == [0, 1]


def test_several_seeds_are_featurised_at_once_and_no_more_are_begun():
    together = threading.Barrier(3)
    begun, infered, most_ahead = [], [], []

    def units():
        for seed in range(9):
            begun.append(seed)
            most_ahead.append(len(begun) - len(infered))
            yield seed

    def featurise(seed):
        together.wait(10)  # Three at a time, or this fails.
        time.sleep(0.01 * (seed % 3 == 0))  # The first of them is the last to be ready.
        return seed

    def infer(seed):
        infered.append(seed)
        return seed

    written = []
    Stages(units(), featurise, infer, written.append).run_overlapped(threads=3)
    assert written == infered == list(range(9))
    # Three ahead, and the one that is about to run.
    assert max(most_ahead) <= 4


def test_a_seed_is_written_while_the_next_one_runs():
    second_runs = threading.Event()
    written = []

    def infer(seed):
        if seed == 1:
            second_runs.set()
        return seed

    def write(seed):
        if seed == 0:
            assert second_runs.wait(10)
        written.append(seed)

    Stages(iter([0, 1]), _same, infer, write).run_overlapped()
    assert written == [0, 1]


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("stage", ["begin", "featurise", "infer", "write"])
def test_an_exception_of_any_stage_comes_out_after_begun_writing(stage, threads):
    written, begun = [], []

    def pass_on(name, seed):
        if name == stage and (seed == 1 or name == "write"):
            raise ValueError(stage)
        return seed

    def units():
        for seed in range(100):
            begun.append(seed)
            yield pass_on("begin", seed)

    def write(seed):
        pass_on("write", seed)
        time.sleep(0.05)
        written.append(seed)

    featurise, infer = (functools.partial(pass_on, name) for name in ("featurise", "infer"))
    with pytest.raises(ValueError, match=stage):
        Stages(units(), featurise, infer, write).run_overlapped(threads)
    if stage != "write":
        assert written == [0]
    assert len(begun) <= 2 * threads + 2


def test_the_end_of_a_job_holds_nothing_up():
    """The next job's first seed is made ready before the last job's last seed is written."""
    ready, second_runs = threading.Event(), threading.Event()
    log = []
    counts = [SeedCount(functools.partial(log.append, f"end {job}")) for job in range(2)]

    def units():
        for job, count in enumerate(counts):
            count.add()
            yield job
            count.over()

    def featurise(job):
        if job == 1:
            ready.set()
        return job

    def infer(job):
        if job == 0:
            assert ready.wait(10)
        if job == 1:
            second_runs.set()
        return job

    def write(job):
        if job == 0:
            assert second_runs.wait(10)
        log.append(job)
        counts[job].over()

    Stages(units(), featurise, infer, write).run_overlapped()
    assert log == [0, "end 0", 1, "end 1"]


def test_jobs_without_seeds_end_in_order_and_at_once():
    """Searches alone: a job ends before the next one is begun."""
    log = []

    def units():
        for job in range(50):
            log.append(("begin", job))
            SeedCount(functools.partial(log.append, ("end", job))).over()
        yield from ()

    Stages(units(), _same, _same, _same).run_overlapped(threads=3)
    assert log == [(what, job) for job in range(50) for what in ("begin", "end")]


def test_a_job_ends_once_with_the_last_of_its_seeds():
    ended = []
    count = SeedCount(lambda: ended.append(threading.current_thread().name))
    start = threading.Barrier(8)

    def seed():
        start.wait(10)
        count.over()

    threads = [threading.Thread(target=seed) for _ in range(8)]
    for thread in threads:
        count.add()
        thread.start()
    for thread in threads:
        thread.join()
    assert ended == []
    count.over()
    assert ended == [threading.current_thread().name]
