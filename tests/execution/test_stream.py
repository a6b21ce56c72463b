"""The stages of neighbouring seeds overlap, in order, and errors come out."""

import threading
import time

import pytest

from af3opt.execution.stream import Stages


def _stages(log, pause):
    def ready(count):
        for seed in range(count):
            time.sleep(pause)
            log.append(("featurise", seed))
            yield seed

    def infer(seed):
        time.sleep(pause)
        log.append(("infer", seed))
        return None if seed == 1 else seed

    def write(seed):
        time.sleep(pause)
        log.append(("write", seed))

    return ready, infer, write


@pytest.mark.parametrize("run", [Stages.run_in_turn, Stages.run_overlapped])
def test_every_stage_sees_the_seeds_in_order(run):
    log = []
    ready, infer, write = _stages(log, 0.0)
    run(Stages(ready(4), infer, write))
    assert [seed for stage, seed in log if stage == "featurise"] == [0, 1, 2, 3]
    assert [seed for stage, seed in log if stage == "infer"] == [0, 1, 2, 3]
    assert [seed for stage, seed in log if stage == "write"] == [0, 2, 3]


def test_the_next_seed_is_featurised_while_one_runs():
    running = threading.Event()
    featurised_meanwhile = threading.Event()

    def ready():
        yield 0
        assert running.wait(10)
        featurised_meanwhile.set()
        yield 1

    def infer(seed):
        if seed == 0:
            running.set()
            assert featurised_meanwhile.wait(10)
        return seed

    written = []
    Stages(ready(), infer, written.append).run_overlapped()
    assert written == [0, 1]


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

    Stages(iter([0, 1]), infer, write).run_overlapped()
    assert written == [0, 1]


@pytest.mark.parametrize("stage", ["featurise", "infer", "write"])
def test_an_exception_of_any_stage_comes_out_after_begun_writing(stage):
    written = []

    def ready():
        yield 0
        if stage == "featurise":
            raise ValueError(stage)
        yield 1

    def infer(seed):
        if stage == "infer" and seed == 1:
            raise ValueError(stage)
        return seed

    def write(seed):
        if stage == "write":
            raise ValueError(stage)
        time.sleep(0.05)
        written.append(seed)

    with pytest.raises(ValueError, match=stage):
        Stages(ready(), infer, write).run_overlapped()
    if stage != "write":
        assert 0 in written
