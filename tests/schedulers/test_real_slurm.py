"""A batch through a real Slurm on this machine: both arrays, kills, requeues."""

import collections
import csv
import json
import os
import subprocess
import sys
import time

import pytest

from af3opt import cli
from af3opt.base.errors import ExitCode
from af3opt.host.queues.every import QUEUES
from tests.conftest import REPOSITORY
from tests.execution.conftest import RESIDUES, leftovers, write_input
from tests.schedulers.servers import start_or_skip

pytestmark = [pytest.mark.slurm, pytest.mark.engine, pytest.mark.slow, pytest.mark.timeout(900)]

JOBS = 12


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """A running Slurm; yields the path of its slurm.conf."""
    server = start_or_skip("slurm", tmp_path_factory.mktemp("slurm"))
    yield server.variables["SLURM_CONF"]
    server.stop()


@pytest.fixture
def slurm(cluster, monkeypatch):
    monkeypatch.setenv("SLURM_CONF", cluster)


def write_site(path, command, variables):
    exports = [f"export {name}={value}" for name, value in variables.items()]
    lines = [f"cd {REPOSITORY}", *exports]
    path.write_text(
        f"""[slurm]
command = {json.dumps(command)}
prologue = {json.dumps(lines)}
max_jobs_per_task = 3
throttle = 2
term_before_end = 0
[slurm.data]
partition = "cpu"
[slurm.inference]
partition = "gpu"
gres = "gpu:1"
"""
    )
    return path


def submit(capfd, *arguments):
    capfd.readouterr()
    assert cli.main(["submit", *map(str, arguments)]) == ExitCode.OK
    return dict(line.split(": job ") for line in capfd.readouterr().out.splitlines())


def ask(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def task_states(job):
    """Array task -> state, as far as Slurm still knows."""
    lines = ask(
        "squeue", "--noheader", "--array", "--states=all", f"--jobs={job}", "--format=%i %T"
    )
    return dict(line.split() for line in lines.splitlines())


def wait_for(condition, seconds=700):
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, "nothing happened"
        time.sleep(0.3)
    return found


def ended(jobs):
    states = {state for job in jobs for state in task_states(job).values()}
    return states <= {"COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL"}


def test_two_arrays_with_kills_and_requeues(slurm, tmp_path, small_weights, capfd):
    """The device step is stubbed: the target is scheduling."""
    inputs, output = tmp_path / "in", tmp_path / "out"
    for number in range(JOBS):
        seeds = [10 * number + 1, 10 * number + 2]
        write_input(inputs, f"job{number:02}", seeds, RESIDUES[: 4 + number % 4])
    log = tmp_path / "device-steps.txt"
    variables = {
        "AF3OPT_HOME": os.environ["AF3OPT_HOME"],
        "DEVICE_STUB_LOG": log,
        "DEVICE_STUB_SECONDS": 1.5,
    }
    command = f"{sys.executable} -m tests.execution.stub"
    site = write_site(tmp_path / "site.toml", command, variables)
    jobs = submit(
        capfd,
        f"--slurm={site}",
        *(f"--input_dir={inputs}", f"--output_dir={output}", f"--model_dir={small_weights}"),
        *("--jax_backend=cpu", "--buckets=16", "--num_diffusion_samples=1", "--noreport"),
    )
    assert list(jobs) == ["data", "inference"]
    inference = jobs["inference"]

    def steps():
        return [line.split()[2] for line in log.read_text().splitlines()] if log.exists() else []

    def running():
        return [task for task, state in task_states(inference).items() if state == "RUNNING"]

    # Killed by Slurm in the middle of a seed, then put back into the queue.
    wait_for(lambda: steps() and running())
    killed = running()[0]
    ask("scancel", "--signal=KILL", killed)
    wait_for(lambda: task_states(inference).get(killed) == "CANCELLED")
    assert QUEUES["slurm"].alive([killed]) == {killed: False}
    ask("scontrol", "requeue", killed)
    # Taken from its node while it runs, as by preemption.
    seen = len(steps())
    wait_for(lambda: len(steps()) > seen + 1 and running())
    ask("scontrol", "requeue", running()[0])
    wait_for(lambda: ended(jobs.values()))
    states = task_states(jobs["data"]) | task_states(inference)
    assert set(states.values()) == {"COMPLETED"}, (states, logs(output))

    counts = collections.Counter(steps())
    assert len(counts) == 2 * JOBS
    assert sum(counts.values()) <= 2 * JOBS + 2, counts
    directories = {path.name for path in output.iterdir() if path.is_dir()}
    assert directories == {f"job{n:02}" for n in range(JOBS)} | {".af3opt", "slurm-logs"}
    for number in range(JOBS):
        table = output / f"job{number:02}" / f"job{number:02}_ranking_scores.csv"
        with table.open() as stream:
            rows = [int(row["seed"]) for row in csv.DictReader(stream)]
        assert rows == [10 * number + 1, 10 * number + 2]
    assert leftovers(output) == []
    assert not (output / "failed.json").exists()

    capfd.readouterr()
    assert cli.main(["status", str(output), "--json"]) == ExitCode.OK
    status = json.loads(capfd.readouterr().out)
    assert status["counts"]["done"] == JOBS
    assert cli.main(["collect", str(output)]) == ExitCode.OK
    assert len(capfd.readouterr().out.splitlines()) == 1 + 2 * JOBS


def logs(output):
    return [path.read_text()[-1500:] for path in sorted((output / "slurm-logs").glob("*.log"))]


def test_end_to_end_with_the_model(slurm, tmp_path, small_weights, capfd):
    """Nothing is stubbed; the weights are random and of reduced depth."""
    inputs, output = tmp_path / "in", tmp_path / "out"
    write_input(inputs, "job", [1])
    variables = {"AF3OPT_HOME": os.environ["AF3OPT_HOME"]}
    site = write_site(tmp_path / "site.toml", f"{sys.executable} -m af3opt", variables)
    jobs = submit(
        capfd,
        f"--slurm={site}",
        *(f"--input_dir={inputs}", f"--output_dir={output}", f"--model_dir={small_weights}"),
        *("--jax_backend=cpu", "--buckets=16", "--num_diffusion_samples=1", "--num_recycles=1"),
    )
    wait_for(lambda: ended(jobs.values()))
    states = task_states(jobs["data"]) | task_states(jobs["inference"])
    assert set(states.values()) == {"COMPLETED"}, logs(output)
    assert (output / "job" / "job_model.cif").stat().st_size > 1000
    assert (output / "job" / "seed-1_sample-0").is_dir()


def test_a_failed_search_does_not_hold_up_the_rest(slurm, tmp_path, small_weights, capfd):
    inputs, output = tmp_path / "in", tmp_path / "out"
    write_input(inputs, "good", [1])
    # Components are not looked up at submission for a job that brings some of its own.
    bad = json.loads(write_input(inputs, "bad", [1]).read_text())
    example = json.loads((REPOSITORY / "examples" / "user_ccd_ligand.json").read_text())
    bad["userCCD"] = example["userCCD"]
    bad["sequences"].append({"ligand": {"id": "L", "ccdCodes": ["QQQQQ"]}})
    (inputs / "bad.json").write_text(json.dumps(bad))
    log = tmp_path / "device-steps.txt"
    variables = {"AF3OPT_HOME": os.environ["AF3OPT_HOME"], "DEVICE_STUB_LOG": log}
    command = f"{sys.executable} -m tests.execution.stub"
    site = write_site(tmp_path / "site.toml", command, variables)
    # One task for both files.
    site.write_text(site.read_text().replace("[slurm]\n", "[slurm]\nmax_tasks = 1\n", 1))
    jobs = submit(
        capfd,
        f"--slurm={site}",
        *(f"--input_dir={inputs}", f"--output_dir={output}", f"--model_dir={small_weights}"),
        *("--jax_backend=cpu", "--buckets=16", "--num_diffusion_samples=1", "--noreport"),
    )
    wait_for(lambda: ended(jobs.values()))
    assert set(task_states(jobs["data"]).values()) == {"COMPLETED"}
    assert set(task_states(jobs["inference"]).values()) == {"FAILED"}  # Exit code 3.
    assert (output / "good" / "good_model.cif").exists()
    (failed,) = json.loads((output / "failed.json").read_text())
    assert failed["name"] == "bad"
