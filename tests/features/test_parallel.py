"""Workers give the same batches in order, report bad inputs, and may die once."""

import dataclasses
import os
import signal
import time

import psutil
import pytest

from tests.features.batches import assert_same_batch
from tests.features.conftest import load_example

pytestmark = [pytest.mark.engine, pytest.mark.slow]


@pytest.fixture
def jobs(engine):
    from af3opt.features.options import FeatureOptions
    from af3opt.features.parallel import FeatureJob

    names = ("zinc_finger_ion", "protein_ligand_smiles", "rna_hairpin")
    options = FeatureOptions(buckets=(128, 256, 512))
    return [FeatureJob(next(load_example(name)), (1, 2), options) for name in names]


def _reference(jobs):
    from af3opt.features.parallel import parallel_featurize

    return list(parallel_featurize(jobs, workers=1))


def _assert_same(outcomes, references):
    for outcome, reference in zip(outcomes, references, strict=True):
        assert outcome.error is None
        assert list(outcome.batches) == list(reference.batches)
        for seed, batch in outcome.batches.items():
            assert_same_batch(batch, reference.batches[seed])


def test_two_workers_give_the_same_in_order(jobs):
    from af3opt.features.parallel import parallel_featurize

    _assert_same(parallel_featurize(jobs, workers=2), _reference(jobs))


def test_a_bad_input_is_reported_and_the_rest_done(jobs):
    from af3opt.engine.modules import engine_module
    from af3opt.features.parallel import parallel_featurize

    ligand = engine_module("common.folding_input").Ligand(id="A", ccd_ids=["NOSUCHCODE"])
    bad = dataclasses.replace(
        jobs[0], fold_input=dataclasses.replace(jobs[0].fold_input, name="bad", chains=[ligand])
    )
    outcomes = list(parallel_featurize([jobs[0], bad, jobs[2]], workers=2))
    assert [outcome.error is None for outcome in outcomes] == [True, False, True]
    assert outcomes[1].error.startswith("bad: cannot be featurised")
    assert "\n" not in outcomes[1].error
    assert outcomes[1].batches == {}


def test_a_worker_that_dies_is_replaced_and_its_input_tried_again(jobs, caplog):
    from af3opt.features.parallel import parallel_featurize

    references = _reference(jobs)
    stream = parallel_featurize(jobs, workers=2)
    outcomes = [next(stream)]
    # The other worker is at its second input, or idle: killed either way.
    workers = [
        child for child in psutil.Process().children() if "spawn_main" in " ".join(child.cmdline())
    ]
    for worker in workers:
        os.kill(worker.pid, signal.SIGKILL)
    # A signal takes effect some time later; not waited for here, the second attempt might
    # go to a worker that is about to end.
    while any(worker.status() != psutil.STATUS_ZOMBIE for worker in workers):
        time.sleep(0.01)
    outcomes += list(stream)
    _assert_same(outcomes, references)


def test_workers_stay_small_and_off_the_accelerator(jobs):
    from af3opt.features.parallel import parallel_featurize

    stream = parallel_featurize(jobs, workers=2)
    next(stream)
    workers = [
        child for child in psutil.Process().children() if "spawn_main" in " ".join(child.cmdline())
    ]
    assert len(workers) == 2
    for worker in workers:
        assert worker.memory_full_info().uss < 450e6
    list(stream)


def test_an_input_that_always_kills_its_worker_is_reported(jobs, monkeypatch, tmp_path):
    from af3opt.features import parallel

    pool = parallel._Pool(1, None)
    killer = dataclasses.replace(jobs[0], fold_input=_Killer())
    try:
        outcomes = list(pool.run([killer, jobs[2]]))
    finally:
        pool.close()
    assert "died twice" in outcomes[0].error
    assert outcomes[1].error is None


def test_a_worker_that_cannot_start_is_not_tried_for_ever(jobs):
    """A large input is still being sent when its worker dies: that is an attempt, too."""
    from af3opt.features import parallel

    pool = parallel._Pool(1, None)
    waiting, attempts, finished = [0], [0], {}
    killer = dataclasses.replace(jobs[0], fold_input=_Killer())
    try:
        for _ in range(parallel._ATTEMPTS):
            (worker,) = pool._workers
            pipe, worker.pipe = worker.pipe, _BrokenPipe()
            pool._hand_out([killer], waiting, attempts, 0)
            worker.pipe = pipe
            worker.process.kill()
            pool._collect([killer], waiting, attempts, finished)
    finally:
        pool.close()
    assert "died twice" in finished[0][1]


class _BrokenPipe:
    """A pipe to a worker that dies while it is sent to."""

    def send(self, _):
        raise BrokenPipeError


class _Killer:
    """Pretends to be an input; reading its components ends the process."""

    name = "killer"
    chains = ()

    @property
    def user_ccd(self):
        os._exit(9)


def test_little_work_is_not_given_to_workers(jobs):
    from af3opt.features.parallel import worthwhile_workers

    assert worthwhile_workers(jobs) == 1


@pytest.mark.parametrize("workers", [1, 2])
def test_inputs_are_taken_as_they_are_needed(jobs, workers):
    from af3opt.features.featurise import usable_threads
    from af3opt.features.parallel import _AHEAD, parallel_featurize

    taken = []

    def endless():
        for number in range(1_000_000):
            taken.append(number)
            yield dataclasses.replace(jobs[2], seeds=(number,))

    stream = parallel_featurize(endless(), workers=workers)
    for number in range(3):
        assert list(next(stream).batches) == [number]
    stream.close()
    assert len(taken) <= 3 + 1 + max(usable_threads() + _AHEAD, workers * _AHEAD)
