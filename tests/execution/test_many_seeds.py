"""A million seeds: nothing is looked at or written for each of them before the first one."""

import json
import os
import signal
import sys

import pytest

from af3opt.base.errors import ExitCode
from af3opt.execution.job.run_journal import RunJournal
from af3opt.execution.job.state_files import JournalPlace
from af3opt.output.checked_files import UNCHECKED
from tests.execution import stub
from tests.execution.conftest import write_input

SEEDS = 20_000


def test_seeds_without_a_record_are_not_looked_for(tmp_path, monkeypatch):
    journal = RunJournal(JournalPlace(tmp_path, "job", "", UNCHECKED), tmp_path / "records")
    asked = []
    monkeypatch.setattr(
        RunJournal, "seed_record", lambda _self, seed, _directory: asked.append(seed)
    )
    assert journal.finished_seeds(range(1_000_000), tmp_path) == {}
    (tmp_path / "records").mkdir()
    (tmp_path / "records" / "seed-77.json").write_text("{}")
    journal.finished_seeds(range(1_000_000), tmp_path)
    assert asked == [77]


@pytest.mark.engine
def test_the_first_seed_comes_before_anything_is_done_for_each(runs, tmp_path):
    """Files opened until then are far fewer than seeds; the next run finds the finished one."""
    counted = tmp_path / "opened.json"

    def before():
        opened = []
        sys.addaudithook(lambda event, _: opened.append(event) if event == "open" else None)
        real = stub.StubRunner.run_inference

        def run_inference(self, batch, seed, samples_at_once=None):
            if not counted.exists():
                counted.write_text(json.dumps(len(opened)))
            os.kill(os.getpid(), signal.SIGUSR1)
            return real(self, batch, seed, samples_at_once)

        stub.StubRunner.run_inference = run_inference

    path, output = write_input(tmp_path / "in", "job", [1]), tmp_path / "out"
    flags = (f"--num_seeds={SEEDS}", "--overlap=off")
    assert runs.run(path, output, *flags, before=before) == ExitCode.REQUEUE, runs.output
    done = len(runs.steps())
    assert 1 <= done < SEEDS
    assert json.loads(counted.read_text()) < SEEDS / 10
    assert runs.run(path, output, *flags, before=before) == ExitCode.REQUEUE
    assert f"{done} seed(s) are done already" in runs.output
