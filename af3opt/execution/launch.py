"""One `af3opt run`: plan, do it in this process or in workers, say how it ended."""

import contextlib
import logging
import os
from collections.abc import Sequence

from af3opt.backend import Backend
from af3opt.errors import ExitCode
from af3opt.execution.batch import BatchRun
from af3opt.execution.deadline import SeedTimes, device_label, find_deadline
from af3opt.execution.interrupt import InterruptGuard
from af3opt.execution.outcomes import (
    Outcome,
    Status,
    exit_code,
    summary_lines,
    write_failures,
)
from af3opt.execution.planning import PlannedJob, duplicate_names, make_plan
from af3opt.execution.session import RunnerFactory, Session
from af3opt.execution.trace import Trace, write_trace
from af3opt.inference.model_runner import create_model_runner
from af3opt.settings import Settings

_log = logging.getLogger(__name__)

# More names than this tell nothing more.
_MOST_DUPLICATES_SHOWN = 5


def run_batch(
    settings: Settings,
    backend: Backend,
    guard: InterruptGuard,
    *,
    make_runner: RunnerFactory = create_model_runner,
) -> ExitCode:
    """Folds every input of the settings in this process.

    Args:
        settings: Checked settings; the environment has been applied.
        backend: Where the model runs.
        guard: Cleans up when the process is interrupted.
        make_runner: Makes the model.

    Returns:
        OK; SOME_FAILED when jobs of a batch failed; REQUEUE when time ran out.

    Raises:
        InputError: the only job's input cannot be used; nothing was written.
        SetupError: engine, weights, tools or output directory are unusable.
    """
    assert settings.output_dir is not None
    session = Session(
        settings=settings, backend=backend, output_dir=settings.output_dir, make_runner=make_runner
    )
    plan = make_plan(settings, session.buckets, os.environ)
    warn_of_duplicates(plan)
    times = SeedTimes(settings, device_label(backend, settings.model_dir))
    trace = Trace()
    run = BatchRun(session, guard, find_deadline(settings, os.environ, times), trace=trace)
    alone = settings.json_path is not None and len(plan) == 1
    outcomes = run.run(plan, alone=alone)
    if settings.trace is not None:
        write_trace(settings.trace, trace.events())
    return finish(settings, outcomes)


def warn_of_duplicates(plan: Sequence[PlannedJob]) -> None:
    """Says which jobs would share an output directory, before anything is run."""
    duplicates = duplicate_names(plan)
    for name, paths in list(duplicates.items())[:_MOST_DUPLICATES_SHOWN]:
        _log.warning(
            "%d jobs are named %s (%s); all but the first get a directory with a time stamp",
            len(paths), name, ", ".join(map(str, paths[:_MOST_DUPLICATES_SHOWN])),
        )  # fmt: skip
    if len(duplicates) > _MOST_DUPLICATES_SHOWN:
        _log.warning("%d more names are used twice", len(duplicates) - _MOST_DUPLICATES_SHOWN)


def finish(settings: Settings, outcomes: Sequence[Outcome]) -> ExitCode:
    """Brings `failed.json` up to date, logs the summary and gives the exit code."""
    assert settings.output_dir is not None
    with contextlib.suppress(OSError):
        write_failures(settings.output_dir, outcomes)
    for line in summary_lines(outcomes):
        _log.info("%s", line)
    finished = sum(outcome.status in (Status.DONE, Status.ALREADY_DONE) for outcome in outcomes)
    _log.info("Done running %d fold jobs.", finished)
    return exit_code(outcomes)
