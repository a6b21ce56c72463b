"""Several processes claim one job in the same moment, hundreds of times."""

import collections
import multiprocessing
import os
import queue

import pytest

from af3opt.execution.claims import claim as claims
from tests.execution.conftest import exit_code, leftovers

pytestmark = [pytest.mark.adversary, pytest.mark.slow]

PROCESSES = 4
ROUNDS_FOR_EACH_TRY = 10
BEFORE = ("nobody", "released", "dead")
WAIT_S = 120


def leave(directories, kinds):
    """An earlier holder of some jobs: it lets some go, and dies with the others."""
    for directory, kind in zip(directories, kinds, strict=True):
        if kind != "nobody":
            held = claims.try_claim(directory)
            assert held is not None
            if kind == "released":
                held.release()
    os._exit(0)  # Nothing is let go at the end.


def contend(directories, barrier, answers):
    """One rival: claims every job in step with the others."""
    for number, directory in enumerate(directories):
        barrier.wait(WAIT_S)
        try:
            held = claims.try_claim(directory)
            answer = "lost" if held is None else "held" if held.is_current() else "held in vain"
        except Exception as error:
            held, answer = None, repr(error)
        # Nobody lets go before all have tried.
        barrier.wait(WAIT_S)
        if held is not None and not held.is_current():
            answer = "held in vain"
        answers.put((number, answer))
        if held is not None:
            held.release()


@pytest.mark.timeout(7200)
def test_exactly_one_holds_a_contested_job(tmp_path, account, tries):
    contested = account("contested claims, in step")
    directories, kinds = [], []
    for number in range(ROUNDS_FOR_EACH_TRY * tries):
        directories.append(tmp_path / f"job{number}")
        kinds.append(contested.generator.choice(BEFORE))
    # Not forked: the engine that other tests have imported has threads.
    context = multiprocessing.get_context("spawn")
    earlier = context.Process(target=leave, args=(directories, kinds))
    earlier.start()
    assert exit_code(earlier, WAIT_S) == 0
    barrier, answers = context.Barrier(PROCESSES), context.Queue()
    processes = [
        context.Process(target=contend, args=(directories, barrier, answers))
        for _ in range(PROCESSES)
    ]
    for process in processes:
        process.start()
    rounds = collections.defaultdict(list)
    for _ in range(PROCESSES * len(directories)):
        try:
            number, answer = answers.get(timeout=WAIT_S)
        except queue.Empty:
            for process in processes:
                exit_code(process, seconds=0)
            pytest.fail(f"{len(rounds)} of {len(directories)} rounds, and no rival answers")
        rounds[number].append(answer)
    hung = [process for process in processes if exit_code(process, WAIT_S) is None]
    assert not hung, f"{len(hung)} rivals have answered, and do not end"
    for number, directory in enumerate(directories):
        contested.tries += 1
        left = leftovers(directory)
        if sorted(rounds[number]) != ["held", *["lost"] * (PROCESSES - 1)] or left:
            contested.lost(f"round {number}, before: {kinds[number]}: {rounds[number]}, {left}")
        elif claims.try_claim(directory) is None:
            contested.lost(f"round {number}: a released job cannot be claimed")
    contested.settle()
