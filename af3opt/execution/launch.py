"""One `af3opt run`: plan, do it in this process or in workers, say how it ended."""

import contextlib
import dataclasses
import functools
import logging
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from af3opt.base.errors import Af3optError, ExitCode, UnifiedMemoryNeededError
from af3opt.environment.startup import Startup
from af3opt.execution.batch.run import BatchRun
from af3opt.execution.claims.compile_leases import CompileLeases
from af3opt.execution.interrupt import InterruptGuard
from af3opt.execution.job.finished import is_finished
from af3opt.execution.job.session import RunnerFactory, Session
from af3opt.execution.outcomes import (
    Outcome,
    Status,
    exit_code,
    note_outcome,
    summary_lines,
    write_table,
)
from af3opt.execution.planning.deadline import SeedTimes, find_deadline
from af3opt.execution.planning.plan import PlannedJob, make_plan, warn_of_duplicates
from af3opt.execution.planning.preview import preview_jobs, preview_lines
from af3opt.execution.state_directory import FAILED_FILE
from af3opt.execution.trace import Trace, write_trace
from af3opt.inference.model_runner import create_model_runner
from af3opt.memory import KnownPrograms, MemoryManager, Program
from af3opt.progress import LearnedTimes, Reporter, open_display
from af3opt.settings.settings import Settings

_log = logging.getLogger(__name__)


def run_batch(
    settings: Settings,
    startup: Startup,
    guard: InterruptGuard,
    *,
    make_runner: RunnerFactory | None = None,
) -> ExitCode:
    """Folds every input of the settings in this process.

    Args:
        settings: Checked settings; the environment has been applied.
        startup: What was found and set before JAX was imported.
        guard: Cleans up when the process is interrupted.
        make_runner: Makes the model; None for the real one.

    Returns:
        OK; SOME_FAILED when jobs of a batch failed; REQUEUE when time ran out.

    Raises:
        InputError: the only job's input cannot be used; nothing was written.
        SetupError: engine, weights, tools or output directory are unusable.
        UnifiedMemoryNeededError: jobs are left that the GPU can only do with it.
    """
    batch = prepare_batch(settings, startup, guard, runner=make_runner)
    warn_of_duplicates(settings, batch.plan)
    alone = settings.json_path is not None and len(batch.plan) == 1
    wanted = not settings.quiet and settings.log_format == "plain"
    with (
        open_display(total_jobs=len(batch.plan), wanted=wanted) as display,
        guard.at_end(display.abandon),
    ):
        batch.reporter.show_on(display)
        try:
            outcomes = batch.run.run(batch.plan, alone=alone)
        except Af3optError as error:
            if batch.run.spilling_helps:
                _log.warning("%s", " ".join(str(error).split()))
                raise UnifiedMemoryNeededError from error
            raise
    if settings.trace is not None:
        write_trace(settings.trace, batch.trace.events())
    for line in batch.reporter.summary():
        _log.info("%s", line)
    return finish(settings, outcomes, spilling_helps=batch.run.spilling_helps)


@dataclasses.dataclass(frozen=True, slots=True)
class PreparedBatch:
    """A batch that is ready to run.

    Attributes:
        plan: Its jobs, in the order they should run.
        run: Does them.
        trace: Gets the times of the stages.
        reporter: Is told what happens.
    """

    plan: list[PlannedJob]
    run: BatchRun
    trace: Trace
    reporter: Reporter


def prepare_batch(
    settings: Settings,
    startup: Startup,
    guard: InterruptGuard,
    *,
    leases: CompileLeases | None = None,
    pool: int | None = None,
    runner: RunnerFactory | None = None,
) -> PreparedBatch:
    """Plans a batch and connects what it needs; nothing is loaded or written yet.

    Args:
        settings: Checked settings; the environment has been applied.
        startup: What was found and set before JAX was imported.
        guard: Cleans up when the process is interrupted.
        leases: Which process of the node compiles what, if there are several.
        pool: The process whose worker this one is, if it is one.
        runner: Makes the model; None for the real one.

    Raises:
        InputError: there is no input, or the inputs cannot be listed.
    """
    assert settings.output_dir is not None
    trace = Trace()
    reporter = Reporter(memory=MemoryManager(startup.host.memory), trace=trace)
    session = Session(
        settings=settings,
        startup=startup,
        output_dir=settings.output_dir,
        make_runner=runner or create_model_runner,
        reporter=reporter,
        pool=pool,
    )
    plan = make_plan(settings, session.buckets, os.environ)
    times = SeedTimes(settings, session.device_label, reporter.learned)
    deadline = find_deadline(settings, os.environ, times)
    run = BatchRun(session, guard, deadline, leases=leases, trace=trace)
    return PreparedBatch(plan, run, trace, reporter)


def preview_batch(settings: Settings, startup: Startup) -> Iterator[str]:
    """Yields the lines of `--dry_run`; nothing is loaded or written.

    Args:
        settings: Checked settings.
        startup: What was found before JAX was imported.

    Raises:
        InputError: there is no input, or the inputs cannot be listed.
    """
    assert settings.output_dir is not None
    session = Session(settings=settings, startup=startup, output_dir=settings.output_dir)
    backend = startup.backend
    plan = make_plan(settings, session.buckets, os.environ)
    warn_of_duplicates(settings, plan)
    device = backend.gpu.name if backend.gpu else backend.name
    program = Program(
        kind=f"{session.engine_info.fingerprint}-{device}-{backend.flash_attention}",
        flash_attention=backend.flash_attention != "xla",
    )
    programs = KnownPrograms()
    jobs = preview_jobs(
        plan,
        settings,
        session.buckets,
        times=SeedTimes(settings, session.device_label, LearnedTimes()),
        device_need=lambda size: programs.need(program, size),
        is_finished=functools.partial(is_finished, session),
    )
    yield from preview_lines(list(jobs))


def finish(
    settings: Settings, outcomes: Sequence[Outcome], *, spilling_helps: bool = False
) -> ExitCode:
    """Brings `failed.json` up to date, logs the summary and gives the exit code.

    Args:
        settings: All settings.
        outcomes: How the jobs ended.
        spilling_helps: Whether jobs failed that would fit with unified memory.

    Raises:
        UnifiedMemoryNeededError: such jobs are all that is left to do.
    """
    assert settings.output_dir is not None
    with contextlib.suppress(OSError):
        for outcome in outcomes:
            # All others have been noted while their claims were held.
            if outcome.status is Status.ALREADY_DONE:
                note_outcome(settings.output_dir, outcome)
        write_table(settings.output_dir)
    for line in summary_lines(outcomes):
        _log.info("%s", line)
    if settings.report and len(outcomes) > 1:
        _write_batch_report(settings.output_dir)
    finished = sum(outcome.status in (Status.DONE, Status.ALREADY_DONE) for outcome in outcomes)
    _log.info("Done running %d fold jobs.", finished)
    if any(outcome.status is Status.FAILED for outcome in outcomes):
        _log.info("The reasons are in %s", settings.output_dir / FAILED_FILE)
    if finished and not settings.run_inference:
        _log.info("To run the model, type the same command without --norun_inference.")
    code = exit_code(outcomes)
    if spilling_helps and code is ExitCode.SOME_FAILED:
        raise UnifiedMemoryNeededError
    return code


def _write_batch_report(output_dir: Path) -> None:
    from af3opt.report import ReportFiles, write_batch_report

    try:
        page = write_batch_report(output_dir, files=ReportFiles(job_pages=False))
    except (Af3optError, OSError) as error:
        _log.warning("No report of the batch: %s", error)
    else:
        _log.info("Report of the batch written to %s", page)
