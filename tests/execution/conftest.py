"""Batches of tiny inputs, run in forked processes that have the engine imported already."""

import contextlib
import json
import os
import subprocess
import sys
import time
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import ClassVar

import psutil
import pytest

from tests.conftest import REPOSITORY
from tests.execution import stub
from tests.forked import start_forked

RESIDUES = "MQIFVKTL"
# Longer than anything takes on a loaded machine, shorter than the time limit of a test.
LONGEST_S = 400


def write_input(directory, name, seeds=(1,), sequence=RESIDUES):
    directory.mkdir(parents=True, exist_ok=True)
    protein = {"id": "A", "sequence": sequence, "unpairedMsa": "", "pairedMsa": ""}
    content = {
        "dialect": "alphafold3",
        "version": 1,
        "name": name,
        "modelSeeds": list(seeds),
        "sequences": [{"protein": {**protein, "templates": []}}],
    }
    path = directory / f"{name}.json"
    path.write_text(json.dumps(content))
    return path


def exit_code(process, seconds=LONGEST_S):
    """Returns a process's exit code, None when it hung; then it is killed.

    What still runs at the end of the session would be waited for without an end.
    """
    process.join(seconds)
    code = process.exitcode
    if code is None:
        process.kill()
        process.join()
    return code


@contextlib.contextmanager
def program(command, **options):
    """Starts a program that is killed at the end of the block, if it has not ended by then."""
    with subprocess.Popen(command, **options) as process:
        try:
            yield process
        finally:
            process.kill()


class Runs:
    """Starts batches with a stubbed device step."""

    # Every process of every batch of a test.
    started: ClassVar[list[BaseProcess]] = []

    def __init__(self, weights, root):
        self.weights = weights
        self.root = root
        self.log = root / "device-steps.txt"

    def flags(self, inputs, output, *more):
        kinds = {".json": "json_path", ".txt": "input_list"}
        kind = "input_dir" if inputs.is_dir() else kinds[inputs.suffix]
        return [
            f"--{kind}={inputs}",
            f"--output_dir={output}",
            f"--model_dir={self.weights}",
            *("--jax_backend=cpu", "--buckets=16,32", "--num_diffusion_samples=1"),
            *("--norun_data_pipeline", "--noreport", "--nofeature_cache"),
            *more,
        ]

    def start(self, inputs, output, *more, seconds=0.0, before=None):
        """Starts a run in a forked process; its log goes to `<root>/run.log`."""
        process = start_forked(self._child, self.flags(inputs, output, *more), seconds, before)
        self.started.append(process)
        return process

    def run(self, inputs, output, *more, seconds=0.0, before=None):
        """Runs to the end and returns the exit code."""
        return self.end(self.start(inputs, output, *more, seconds=seconds, before=before))

    def end(self, process):
        """Waits for a process of `start`, which must not hang, and returns its exit code."""
        code = exit_code(process)
        assert code is not None, f"still running after {LONGEST_S} s:\n{self.output[-3000:]}"
        return code

    def steps(self):
        """(process, tokens, seed) of every device step so far."""
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        return [tuple(map(int, line.split())) for line in lines]

    @property
    def output(self):
        """Everything the last run has logged so far."""
        path = self.root / "run.log"
        return path.read_text() if path.exists() else ""

    def _child(self, flags, seconds, before):
        descriptor = os.open(self.root / "run.log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(descriptor, 1)
        os.dup2(descriptor, 2)
        sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
        sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115
        os.environ["DEVICE_STUB_SECONDS"] = str(seconds)
        os.environ["DEVICE_STUB_LOG"] = str(self.log)
        if before is not None:
            before()
        code = stub.main(flags)
        with contextlib.suppress(ValueError):
            sys.stderr.flush()
        os._exit(code)


class Pool:
    """A pool of workers with a stubbed device step, as a process."""

    def __init__(self, runs, inputs, output, *flags, **environment):
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.execution.stub", *runs.flags(inputs, output, *flags)],
            cwd=REPOSITORY,
            env={**os.environ, "DEVICE_STUB_LOG": str(runs.log), **environment},
            stderr=subprocess.PIPE,
            text=True,
        )

    def wait_for_workers(self, number):
        """The processes of the workers, once they have been started."""
        pool = psutil.Process(self.process.pid)

        def workers():
            return [p for p in pool.children() if "tests.execution.stub_worker" in p.cmdline()]

        wait_for(lambda: len(workers()) == number, seconds=250)
        return workers()

    def end(self):
        try:
            _, self.log = self.process.communicate(timeout=LONGEST_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            _, self.log = self.process.communicate()
            pytest.fail(f"still running after {LONGEST_S} s:\n{self.log[-3000:]}")
        return self.process.returncode


@pytest.fixture(scope="session")
def imported_engine(shared_home):
    """The engine, imported once for all forked runs."""
    before = os.environ.get("AF3OPT_HOME")
    os.environ["AF3OPT_HOME"] = str(shared_home)
    os.environ["JAX_PLATFORMS"] = "cpu"
    try:
        from af3opt.data.bootstrap import bootstrap_engine

        arguments = list(sys.argv)
        bootstrap_engine()
        sys.argv[:] = arguments
    finally:
        del os.environ["JAX_PLATFORMS"]
        if before is None:
            del os.environ["AF3OPT_HOME"]
        else:
            os.environ["AF3OPT_HOME"] = before


@pytest.fixture
def runs(tmp_path, imported_engine, small_weights):
    yield Runs(small_weights, tmp_path)
    for process in Runs.started:
        exit_code(process, seconds=0)
    Runs.started.clear()


@pytest.fixture
def inputs(tmp_path):
    """Four jobs with three seeds each."""
    directory = tmp_path / "inputs"
    for number in range(4):
        seeds = range(10 * number + 1, 10 * number + 4)
        write_input(directory, f"job{number}", seeds, RESIDUES[: 5 + number])
    return directory


def wait_for(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "nothing happened"
        time.sleep(0.02)


def leftovers(output: Path):
    """Unfinished files of atomic writes."""
    return [path for path in output.rglob("*") if ".af3opt-tmp-" in path.name]


def command_lines_with(text):
    """Command lines of the processes that run, whoever started them, with a text in a word."""
    lines = [one.info["cmdline"] or [] for one in psutil.process_iter(["cmdline"])]
    return [line for line in lines if any(str(text) in word for word in line)]
