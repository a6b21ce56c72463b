"""How long the device waits between seeds: upstream's order, stage after stage, overlapped.

    python -m scripts.measure.overlap --model_dir=DIR [--tokens=200] [--jobs=2] [--seeds=5]
                                        [--device_seconds=0.5] [--samples=5] [--repeats=3]

The device step is stubbed: it sleeps for a given time, so this measures scheduling and
no model. Featurisation, extraction and files are real. Idle is the share of the time
from the start of the first device step to the end of the last in which none runs.
"""

import argparse
import dataclasses
import functools
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from af3opt.base.logs import Verbosity, configure_logging
from af3opt.environment.startup import Startup, prepare_process
from af3opt.execution.batch.run import BatchRun
from af3opt.execution.interrupt import InterruptGuard
from af3opt.execution.job.claiming import claim_job
from af3opt.execution.job.loading import load_job
from af3opt.execution.job.resolving import resolve_job, search_job
from af3opt.execution.job.seed_steps import extract_seed, featurise_seed
from af3opt.execution.job.session import Session, import_engine
from af3opt.execution.job.tools import make_tools, start_model
from af3opt.execution.job.writing import JobWriter
from af3opt.execution.planning.deadline import SeedTimes, find_deadline
from af3opt.execution.planning.plan import make_plan
from af3opt.execution.trace import Trace
from af3opt.numerics import infer_checked
from af3opt.progress import Reporter
from af3opt.settings.settings import Settings, resolve_settings
from scripts.measure.stubbed_device import StubbedRunner

_LETTERS = "ARNDCQEGHILKMFPSTWYV"


class _TimedRunner(StubbedRunner):
    """Notes when the device is busy."""

    def __init__(self, seconds: float, samples: int) -> None:
        super().__init__(seconds, samples)
        self.busy: list[tuple[float, float]] = []

    def run_inference(self, *arguments: Any, **options: Any) -> dict[str, Any]:
        start = time.monotonic()
        time.sleep(self._seconds)
        end = time.monotonic()
        self.busy.append((start, end))
        self._seconds, seconds = 0.0, self._seconds
        try:
            return super().run_inference(*arguments, **options)
        finally:
            self._seconds = seconds


def _write_inputs(directory: Path, jobs: int, seeds: int, tokens: int) -> None:
    for job in range(jobs):
        sequence = "".join(_LETTERS[(7 * job + 3 * place) % 20] for place in range(tokens))
        chain = {"id": "A", "sequence": sequence, "unpairedMsa": "", "pairedMsa": ""}
        content = {
            "dialect": "alphafold3",
            "version": 1,
            "name": f"job{job}",
            "modelSeeds": list(range(1, seeds + 1)),
            "sequences": [{"protein": {**chain, "templates": []}}],
        }
        (directory / f"job{job}.json").write_text(json.dumps(content))


def _session(settings: Settings, startup: Startup, runner: _TimedRunner) -> Session:
    def make_runner(*_arguments: Any, **_options: Any) -> Any:
        return runner

    assert settings.output_dir is not None
    return Session(
        settings=settings,
        startup=startup,
        output_dir=settings.output_dir,
        make_runner=make_runner,
        reporter=Reporter(),
    )


def _upstreams_order(session: Session) -> None:
    """Featurises all seeds of a job, runs all, then writes all."""
    guard = InterruptGuard()
    model = start_model(session, import_engine(session))
    tools = make_tools(session, None, model, searches=None)
    for planned in make_plan(session.settings, session.buckets, os.environ):
        claimed = claim_job(session, guard, planned)
        with claimed.resources:
            loaded = load_job(session, None, guard, claimed)
            report = session.reporter.job_started(loaded.name)
            job = resolve_job(tools, search_job(tools, loaded, report))
            ready = [(seed, featurise_seed(tools, job, seed).batch) for seed in job.seeds]
            results = []
            for seed, batch in ready:
                checked = infer_checked(
                    functools.partial(model.runner.run_inference, batch, seed),
                    batch,
                    seed=seed,
                    handler=model.numerics,
                    safer=None,
                    infer_safer=functools.partial(model.run_safer, batch, seed, None),
                )
                results.append(extract_seed(job, checked, batch, 0.0))
            writer = JobWriter(tools, job)
            for result in results:
                writer.write_seed(result)


def _batch(session: Session) -> None:
    times = SeedTimes(session.settings, "benchmark", session.reporter.learned)
    deadline = find_deadline(session.settings, {}, times)
    run = BatchRun(session, InterruptGuard(), deadline, trace=Trace())
    run.run(make_plan(session.settings, session.buckets, os.environ), alone=False)


@dataclasses.dataclass(frozen=True, slots=True)
class _Measured:
    """One run.

    Attributes:
        idle: Share of the time between the first and the last device step without one.
        wall: Seconds in all.
    """

    idle: float
    wall: float


def _measure(run: Callable[[Session], None], session: Session, runner: _TimedRunner) -> _Measured:
    start = time.monotonic()
    run(session)
    wall = time.monotonic() - start
    busy = sum(end - begin for begin, end in runner.busy)
    return _Measured(1 - busy / (runner.busy[-1][1] - runner.busy[0][0]), wall)


_ORDERS: dict[str, tuple[str, Callable[[Session], None]]] = {
    "upstream's order": ("off", _upstreams_order),
    "stage after stage": ("off", _batch),
    "overlapped": ("on", _batch),
}


def main(argv: Sequence[str]) -> int:
    """Prints a line for each order."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--model_dir", required=True)
    for name, default in (("tokens", 200), ("jobs", 2), ("seeds", 5), ("samples", 5)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--device_seconds", type=float, default=0.5)
    given = parser.parse_args(argv)
    measured: dict[str, list[_Measured]] = {name: [] for name in _ORDERS}
    with tempfile.TemporaryDirectory() as scratch:
        inputs, output = Path(scratch, "inputs"), Path(scratch, "output")
        inputs.mkdir()
        _write_inputs(inputs, given.jobs, given.seeds, given.tokens)
        flags = [
            *(f"--input_dir={inputs}", f"--output_dir={output}", f"--model_dir={given.model_dir}"),
            *(f"--num_diffusion_samples={given.samples}", "--jax_backend=cpu"),
            *("--norun_data_pipeline", "--noreport", "--nofeature_cache", "--quiet"),
        ]
        startup = prepare_process(resolve_settings(flags, os.environ))
        configure_logging(Verbosity(quiet=True))
        # The first round is not counted: the engine is imported and its data read in it.
        for repeat in range(given.repeats + 1):
            for name, (overlap, run) in _ORDERS.items():
                settings = resolve_settings([*flags, f"--overlap={overlap}"], os.environ)
                runner = _TimedRunner(given.device_seconds if repeat else 0.0, given.samples)
                result = _measure(run, _session(settings, startup, runner), runner)
                shutil.rmtree(output)
                if repeat:
                    measured[name].append(result)
    sys.stdout.write(
        f"Stubbed device step of {given.device_seconds} s; {given.jobs} jobs of {given.tokens} "
        f"tokens, {given.seeds} seeds, {given.samples} samples; median of {given.repeats}\n"
    )
    for name, results in measured.items():
        idle = statistics.median(result.idle for result in results)
        wall = statistics.median(result.wall for result in results)
        sys.stdout.write(f"{name:<18} device idle {100 * idle:5.1f} %   {wall:6.1f} s in all\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
