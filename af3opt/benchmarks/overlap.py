"""How long the device waits between seeds: upstream's order, stage after stage, overlapped.

    python -m af3opt.benchmarks.overlap --model_dir=DIR [--tokens=200] [--jobs=3] [--seeds=5]
                                        [--device_seconds=1.0] [--samples=5] [--repeats=3]

The device step is stubbed: it sleeps for a given time, so this measures scheduling and
no model. Featurisation, extraction and files are real. Idle is the share of the time
from the start of the first device step to the end of the last in which none runs.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from af3opt.benchmarks.stubbed_device import StubbedRunner
from af3opt.execution.batch import BatchRun
from af3opt.execution.deadline import SeedTimes, find_deadline
from af3opt.execution.interrupt import InterruptGuard
from af3opt.execution.opening import JobOpener
from af3opt.execution.planning import make_plan
from af3opt.execution.session import Session
from af3opt.execution.trace import Trace
from af3opt.logs import Verbosity, configure_logging
from af3opt.progress import Reporter
from af3opt.settings import Settings, resolve_settings
from af3opt.startup import Startup, prepare_process

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
    _ = session.engine
    opener = JobOpener(session, InterruptGuard())
    for planned in make_plan(session.settings, session.buckets, os.environ):
        opened = opener.open(planned)
        opener.begin(opened)
        job = opened.job
        batches = [(seed, job.featurise(seed)) for seed in job.missing_seeds()]
        results = []
        for seed, batch in batches:
            checked = job.infer(batch, seed)
            results.append(job.extract(checked, batch, seed, 0.0))
        for result in results:
            job.write_seed(result)
        job.resources.close()


def _batch(session: Session) -> None:
    times = SeedTimes(session.settings, "benchmark", session.reporter.learned)
    deadline = find_deadline(session.settings, {}, times)
    run = BatchRun(session, InterruptGuard(), deadline, trace=Trace())
    run.run(make_plan(session.settings, session.buckets, os.environ), alone=False)


def main(argv: Sequence[str]) -> int:
    """Prints a line for each order."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--model_dir", required=True)
    for name, default in (("tokens", 200), ("jobs", 3), ("seeds", 5), ("samples", 5)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--device_seconds", type=float, default=1.0)
    given = parser.parse_args(argv)
    orders: dict[str, tuple[str, Callable[[Session], None]]] = {
        "upstream's order": ("off", _upstreams_order),
        "stage after stage": ("off", _batch),
        "overlapped": ("on", _batch),
    }
    idle: dict[str, list[float]] = {name: [] for name in orders}
    wall: dict[str, list[float]] = {name: [] for name in orders}
    startup: Startup | None = None
    with tempfile.TemporaryDirectory() as scratch:
        inputs = Path(scratch, "inputs")
        inputs.mkdir()
        _write_inputs(inputs, given.jobs, given.seeds, given.tokens)
        for repeat in range(given.repeats):
            for name, (overlap, run) in orders.items():
                flags = [
                    f"--input_dir={inputs}",
                    f"--output_dir={scratch}/{repeat}-{overlap}-{run.__name__}",
                    f"--model_dir={given.model_dir}",
                    f"--num_diffusion_samples={given.samples}",
                    f"--overlap={overlap}",
                    *("--jax_backend=cpu", "--norun_data_pipeline", "--noreport"),
                    *("--nofeature_cache", "--quiet"),
                ]
                settings = resolve_settings(flags, os.environ)
                startup = startup or prepare_process(settings)
                configure_logging(Verbosity(quiet=True))
                runner = _TimedRunner(given.device_seconds, given.samples)
                start = time.monotonic()
                run(_session(settings, startup, runner))
                end = time.monotonic()
                busy = sum(stop - begin for begin, stop in runner.busy)
                idle[name].append(1 - busy / (runner.busy[-1][1] - runner.busy[0][0]))
                wall[name].append(end - start)
    sys.stdout.write(
        f"Stubbed device step of {given.device_seconds} s; {given.jobs} jobs of {given.tokens} "
        f"tokens, {given.seeds} seeds, {given.samples} samples; median of {given.repeats}\n"
    )
    for name in orders:
        sys.stdout.write(
            f"{name:<18} device idle {100 * statistics.median(idle[name]):5.1f} %   "
            f"{statistics.median(wall[name]):6.1f} s in all\n"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
