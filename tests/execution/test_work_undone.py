"""Exit 0 means that everything asked for is done; what others hold, or seem to, is not."""

import json
import socket
import time

import pytest

from af3opt.base.errors import ExitCode
from af3opt.execution.outcomes import Outcome, Status, exit_code

pytestmark = pytest.mark.engine


def held_elsewhere(**change):
    holder = {
        "host": socket.gethostname(),
        "process_id": 4_000_000,
        "process_start": time.time(),
        "namespace": "pid:[1]",
        "slurm_job": None,
    }
    return json.dumps({**holder, **change})


@pytest.mark.parametrize(
    "claim",
    [
        held_elsewhere(),
        held_elsewhere(host="another-node"),
        "",
        "{",
        "{}",
        "[]",
    ],
    ids=["namespace", "node", "empty", "cut", "no-fields", "list"],
)
def test_a_job_that_somebody_seems_to_hold_is_work_undone(runs, inputs, tmp_path, claim):
    output = tmp_path / "out"
    directory = output / ".af3opt" / "jobs" / "job1"
    directory.mkdir(parents=True)
    (directory / "claim-0").write_text(claim)
    assert runs.run(inputs, output) == ExitCode.REQUEUE, runs.output
    assert "1 elsewhere" in runs.output
    assert len(runs.steps()) == 9
    assert not (output / "job1").exists()


@pytest.mark.parametrize(
    ("statuses", "code"),
    [
        ([Status.DONE, Status.ALREADY_DONE], ExitCode.OK),
        ([Status.DONE, Status.ELSEWHERE], ExitCode.REQUEUE),
        ([Status.FAILED, Status.ELSEWHERE], ExitCode.REQUEUE),
        ([Status.FAILED, Status.DONE], ExitCode.SOME_FAILED),
        ([Status.LEFT], ExitCode.REQUEUE),
        ([], ExitCode.OK),
    ],
)
def test_exit_codes(tmp_path, statuses, code):
    outcomes = [Outcome(name="job", path=tmp_path, status=status) for status in statuses]
    assert exit_code(outcomes) == code


@pytest.mark.parametrize("gone", ["seed-11_sample-0", "job1_ranking_scores.csv"])
def test_a_job_whose_files_vanish_before_its_end_is_not_done(runs, inputs, tmp_path, gone):
    """Somebody tidies up while the last seed is written."""
    output = tmp_path / "out"

    def before():
        import shutil

        from af3opt.execution.job.writing import JobWriter

        check = JobWriter.check_complete

        def check_complete(self):
            path = output / "job1" / gone
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
            check(self)

        JobWriter.check_complete = check_complete

    assert runs.run(inputs / "job1.json", output, before=before) == ExitCode.SOME_FAILED
    assert "files of finished seeds are missing" in runs.output
    assert runs.run(inputs / "job1.json", output) == ExitCode.OK
    assert (output / "job1" / gone).exists()
