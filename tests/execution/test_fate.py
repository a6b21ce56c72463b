"""How a job ends: the first failure wins, and a lost job writes nothing, whatever happens."""

import contextlib
import hashlib
import json
import socket

import pytest

from af3opt.base.errors import ExitCode
from af3opt.execution.job.fate import JobFate, JobLostError, Verdict
from af3opt.output.checked_files import CheckedFiles
from tests.execution import stub
from tests.execution.conftest import leftovers


def test_the_first_failure_wins():
    fate = JobFate()
    fate.fail(ValueError("first"))
    fate.fail(ValueError("second"))
    fate.leave()
    assert fate.verdict is Verdict.FAILED
    assert fate.failure.reason == "ValueError: first"
    assert "Traceback" not in fate.failure.traceback or "first" in fate.failure.traceback


@pytest.mark.parametrize("later", [ValueError("other"), OSError("other"), JobLostError("again")])
def test_lost_is_never_unset(later):
    ours = [False, True, True]
    fate = JobFate(lambda: ours.pop(0))
    with pytest.raises(JobLostError):
        fate.check_ours()
    fate.fail(later)
    assert fate.verdict is Verdict.LOST
    # Not even by a claim that looks like ours again.
    with pytest.raises(JobLostError):
        fate.check_ours()


@pytest.mark.parametrize("kind", ["text", "file", "directory"])
def test_the_check_stands_directly_before_the_rename(tmp_path, kind):
    """Lost while it writes: nothing appears, and nothing unfinished is left."""
    fate = JobFate(lambda: False)
    files, path = CheckedFiles(fate.check_ours), tmp_path / "result"
    with contextlib.suppress(JobLostError):
        if kind == "text":
            files.text(path, "text")
        elif kind == "file":
            with files.file(path) as stream:
                stream.write(b"content")
        else:
            with files.directory(path) as scratch:
                (scratch / "file").touch()
    assert list(tmp_path.iterdir()) == []


def take_over(output, name):
    """Claims a job in the name of another process, as after a long stop of this one."""
    claims = output / ".af3opt" / "jobs" / name
    holder = {
        "host": socket.gethostname(),
        "process_id": 1,
        "process_start": 0.0,
        "namespace": "pid:[1]",
        "slurm_job": None,
    }
    (claims / "claim-7").write_text(json.dumps(holder))


def contents(output):
    """Every file but claims, with a digest of its content."""
    return {
        path.relative_to(output).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(output.rglob("*"))
        if path.is_file() and not path.name.startswith("claim-")
    }


@pytest.mark.engine
@pytest.mark.parametrize("overlap", ["off", "on"])
@pytest.mark.parametrize("error", [None, ValueError("then this"), OSError(5, "then this")])
@pytest.mark.parametrize("seed", [1, 3])
def test_a_lost_job_writes_nothing_whatever_happens_after(
    runs, inputs, tmp_path, overlap, error, seed
):
    output, seen = tmp_path / "out", tmp_path / "seen.json"

    def before():
        real = stub.StubRunner.run_inference

        def run_inference(self, batch, number, samples_at_once=None):
            result = real(self, batch, number, samples_at_once)
            if number == seed:
                # Seeds before this one are written by then, or will not be.
                take_over(output, "job0")
                if error is not None:
                    raise error
            return result

        stub.StubRunner.run_inference = run_inference
        remember = output / ".af3opt"

        from af3opt.execution.job import fate

        check = fate.JobFate.check_ours

        def check_ours(self):
            try:
                check(self)
            except JobLostError:
                if remember.is_dir() and not seen.exists():
                    found = {k: v for k, v in contents(output).items() if ".af3opt-tmp-" not in k}
                    seen.write_text(json.dumps(found))
                raise

        fate.JobFate.check_ours = check_ours

    flags = (f"--overlap={overlap}", "--report", "--save_pdb", "--save_embeddings")
    code = runs.run(inputs / "job0.json", output, *flags, before=before)
    assert code == ExitCode.REQUEUE, runs.output
    at_loss = json.loads(seen.read_text())
    after = {name: digest for name, digest in contents(output).items() if "plans/" not in name}
    assert {n: d for n, d in at_loss.items() if "plans/" not in n} == after
    assert not (output / "failed.json").exists()
    assert not list(output.glob(".af3opt/failed/*"))
    assert leftovers(output) == []
    assert f"seed-{seed}_sample-0" not in {path.name for path in output.glob("job0/*")}
