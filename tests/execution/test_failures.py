"""What is kept of failures, and when it goes away again."""

import json

import pytest

from af3opt.base.errors import ExitCode
from af3opt.execution.failure import failure_of
from af3opt.execution.outcomes import Status, outcome_of, write_failures
from af3opt.execution.planning.plan import read_jobs
from tests.execution.conftest import write_input

pytestmark = pytest.mark.engine


def failing(text):
    """Makes seed 11 fail in the model, far below."""

    def before():
        from tests.execution import stub

        real = stub.StubRunner.run_inference

        def broken_kernel():
            raise ValueError(text)

        def run_inference(self, batch, seed, samples_at_once=None):
            if seed == 11:
                broken_kernel()
            return real(self, batch, seed, samples_at_once)

        stub.StubRunner.run_inference = run_inference

    return before


def failures(output):
    return json.loads((output / "failed.json").read_text())


def test_a_failure_keeps_its_traceback_until_the_job_is_done(runs, inputs, tmp_path):
    output = tmp_path / "out"
    code = runs.run(inputs, output, before=failing("a bad number \x1b[31m"))
    assert code == ExitCode.SOME_FAILED
    (failed,) = failures(output)
    assert failed["traceback"].startswith(".af3opt/failed/job1-")
    text = (output / failed["traceback"]).read_text()
    assert text.startswith("Traceback (most recent call last):")
    assert "in broken_kernel" in text
    assert "\x1b" not in text
    assert runs.run(inputs, output) == ExitCode.OK
    assert not (output / "failed.json").exists()
    assert list(output.glob(".af3opt/failed/*")) == []


def test_the_traceback_of_a_job_that_could_not_be_begun_is_kept_too(runs, inputs, tmp_path):
    (inputs / "bad.json").write_text('{"name": "bad", "sequences": 3}')
    assert runs.run(inputs, tmp_path / "out") == ExitCode.SOME_FAILED
    (failed,) = failures(tmp_path / "out")
    text = (tmp_path / "out" / failed["traceback"]).read_text()
    assert "InputError" in text
    assert "load_job" in text


def test_what_is_kept_is_bounded():
    try:
        raise ValueError("x" * 1_000_000)
    except ValueError as error:
        failure = failure_of(error)
    assert len(failure.traceback) < 70_000
    assert "characters left out" in failure.traceback
    assert failure.traceback.startswith("Traceback")
    assert len(failure.reason) < 600


@pytest.mark.parametrize("name", ["failed.json", "***", "x" * 230, "af3opt_report.html"])
def test_a_name_that_cannot_be_a_jobs_fails_that_job(runs, inputs, tmp_path, name):
    path = write_input(inputs, "job9", [1])
    path.write_text(path.read_text().replace('"job9"', f'"{name}"'))
    output = tmp_path / "out"
    assert runs.run(inputs, output) == ExitCode.SOME_FAILED
    (failed,) = failures(output)
    assert "job9.json: " in failed["reason"]
    assert "name" in failed["reason"].partition("job9.json")[2]
    assert (output / failed["traceback"]).is_file()
    assert len(runs.steps()) == 12
    assert list(output.glob(".af3opt/jobs/claim-*")) == []


def test_the_longest_name_that_upstream_can_write_is_done(runs, inputs, tmp_path):
    name = "n" * (255 - len("_seed-1_sample-0_summary_confidences.json"))
    path = write_input(inputs, "job9", [1])
    path.write_text(path.read_text().replace('"job9"', f'"{name}"'))
    assert runs.run(path, tmp_path / "out") == ExitCode.OK, runs.output
    assert (tmp_path / "out" / name / f"{name}_ranking_scores.csv").is_file()


def test_a_folder_may_be_input_and_output_at_once(runs, tmp_path):
    folder = tmp_path / "both"
    write_input(folder, "good", [1])
    good = (folder / "good.json").read_text()
    (folder / "bad.json").write_text(good.replace('"good"', '"bad"').replace("MQ", "M?"))
    (folder / "bad.json").write_text("{}")
    assert runs.run(folder, folder) == ExitCode.SOME_FAILED
    assert [failed["name"] for failed in failures(folder)] == ["bad"]
    # What the first run wrote is no input of the second.
    assert runs.run(folder, folder) == ExitCode.SOME_FAILED
    assert [failed["name"] for failed in failures(folder)] == ["bad"]
    assert runs.run(folder, folder, "--recursive") == ExitCode.SOME_FAILED
    assert "failed.json" not in [failed["name"] for failed in failures(folder)]
    (folder / "bad.json").write_text(good.replace('"good"', '"bad"'))
    assert runs.run(folder, folder) == ExitCode.OK
    assert not (folder / "failed.json").exists()


def test_a_failed_json_of_another_batch_is_no_input(runs, inputs, tmp_path):
    (inputs / ".af3opt").mkdir()
    (inputs / "failed.json").write_text('[{"name": "x", "file": "x.json", "reason": "y"}]')
    assert runs.run(inputs, tmp_path / "out") == ExitCode.OK


def test_a_done_job_is_in_no_list_however_its_file_was_named(runs, inputs, tmp_path, monkeypatch):
    output = tmp_path / "out"
    assert runs.run(inputs, output, before=failing("once")) == ExitCode.SOME_FAILED
    monkeypatch.chdir(inputs)
    from pathlib import Path

    assert runs.run(Path("job1.json"), output) == ExitCode.OK
    assert not (output / "failed.json").exists()


def test_a_job_that_is_done_leaves_the_list_at_the_next_run(runs, inputs, tmp_path):
    """Its last process was killed before it could take the job from the list."""
    output, path = tmp_path / "out", inputs / "job1.json"
    assert runs.run(path, output) == ExitCode.OK
    (planned,) = read_jobs(path)
    write_failures(output, [outcome_of(planned, Status.FAILED, "its worker died")])
    assert [failed["name"] for failed in failures(output)] == ["job1"]
    steps = runs.steps()
    assert runs.run(path, output) == ExitCode.OK
    assert runs.steps() == steps
    assert not (output / "failed.json").exists()
