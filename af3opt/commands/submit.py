"""`af3opt submit`: hands a batch to Slurm, PBS, LSF or Grid Engine."""

import dataclasses
import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from af3opt.base.errors import ExitCode, UsageError
from af3opt.base.standard_streams import write_out
from af3opt.commands._run_settings import asks_for_help, read_settings

if TYPE_CHECKING:
    from af3opt.schedulers.finished import FinishedJobs
    from af3opt.schedulers.intake import Intake
    from af3opt.schedulers.site import Site
    from af3opt.schedulers.submission import Submission
    from af3opt.settings.settings import Settings

SUMMARY = "run a batch on a cluster: a CPU array for searches, a GPU array for inference"

_HELP = """\
Usage: af3opt submit --site SITE.toml [--scheduler NAME] [--dry_run] [flags of af3opt run]

Submits two job arrays: one for the data pipeline, one for inference. A task of the second array
waits for the matching task of the first. If a stage is switched off (--norun_data_pipeline,
--norun_inference), its array is left out. Inputs are distributed by padded size and by the
estimated time of searches and inference. Run the same command again to do what is missing.

  --site       TOML file with the site's queues, limits and start-up lines, or the name of a shipped
               example (two-partitions, pbs-two-queues, lsf-two-queues, sge-two-queues)
  --slurm      as --site, for a file with the table [slurm]
  --scheduler  auto (the one that the file describes), slurm, pbs, lsf or sge
  --resubmit   submit even if arrays of this output directory still wait or run, and submit
               finished jobs too
  --dry_run    print the scripts instead of submitting them

Inputs are checked as af3opt run checks them. Inputs with a mistake are named, recorded in
failed.json and left out; the exit code is then 3.
af3opt status DIR shows the progress of the batch, af3opt collect DIR makes a table of its scores.
"""

_INPUTS = frozenset(
    {"json_path", "input_dir", "input_list", "recursive", "output_dir", "dry_run", "shard"}
)
_STAGES = frozenset({"run_data_pipeline", "run_inference"})

_log = logging.getLogger(__name__)


def main(argv: list[str]) -> int:
    """Runs `af3opt submit` and returns the exit code.

    Raises:
        UsageError: a flag or the site's file is wrong, or arrays of the output directory
            still wait or run.
        InputError: there are no inputs.
        SetupError: the submitting command is missing or refuses.
    """
    if asks_for_help(argv):
        write_out(_HELP)
        return ExitCode.OK
    from af3opt.base.extra_flag import take_flag, take_switch
    from af3opt.settings.settings import check_run_settings

    slurm, rest = take_flag(argv, "--slurm", "a file or the name of an example")
    named, rest = take_flag(rest, "--site", "a file or the name of an example")
    scheduler, rest = take_flag(rest, "--scheduler", "a name")
    resubmit, rest = take_switch(rest, "--resubmit")
    site = _read_site(slurm, named, scheduler)
    settings = read_settings(rest)
    _refuse_pipe(settings)
    check_run_settings(settings)
    if not settings.resume:
        raise UsageError("af3opt submit needs resume, which --noresume turns off")
    assert settings.output_dir is not None
    output = settings.output_dir.absolute()
    if not (resubmit or settings.dry_run):
        _refuse_second(output)
    submission, intake = _prepare(settings, site, output, everything=resubmit)
    _say_what_is_left_out(intake)
    if intake.jobs:
        _say_what_is_not_here(settings)
    else:
        _log.info("Nothing to submit: nothing is left to do")
    if settings.dry_run:
        for name, text in submission.scripts.items():
            write_out(f"# ---- {name}\n{text}\n")
    else:
        _submit(submission, intake)
    return ExitCode.SOME_FAILED if intake.unusable else ExitCode.OK


def _read_site(slurm: str | None, named: str | None, scheduler: str | None) -> "Site":
    from af3opt.schedulers.site import load_site

    if slurm is not None and named is not None:
        raise UsageError("af3opt submit: give either --site or --slurm")
    if slurm is not None:
        if scheduler not in (None, "auto", "slurm"):
            raise UsageError(f"--scheduler={scheduler}: --slurm is for Slurm; give --site")
        return load_site(slurm, "slurm", "--slurm")
    if named is None:
        raise UsageError(
            "af3opt submit: give --site=SITE.toml or the name of an example, such as "
            "--site=two-partitions (--slurm=two-partitions is the same)"
        )
    return load_site(named, scheduler, "--site")


def _refuse_pipe(settings: "Settings") -> None:
    """Keeps an input from being submitted that is gone when the tasks start."""
    from af3opt.inputs.piped import is_pipe

    if settings.json_path is not None and is_pipe(settings.json_path):
        raise UsageError(
            f"--json_path={settings.json_path}: is a pipe, which is gone when the tasks start; "
            "save the input to a file"
        )


def _refuse_second(output: Path) -> None:
    """Keeps a batch from being submitted while it still waits or runs.

    Raises:
        UsageError: it does.
    """
    from af3opt.schedulers.every import SCHEDULERS
    from af3opt.schedulers.submission import unfinished_arrays

    for name, arrays in unfinished_arrays(output).items():
        scheduler = SCHEDULERS[name]
        raise UsageError(
            f"af3opt submit: {scheduler.queue.title} job(s) {', '.join(arrays)} of {output} still "
            f"wait or run, so nothing was submitted; wait for them, remove them "
            f"({scheduler.canceller} {' '.join(arrays)}), or give --resubmit"
        )


def _prepare(
    settings: "Settings", site: "Site", output: Path, *, everything: bool
) -> tuple["Submission", "Intake"]:
    """Plans the batch; writes nothing."""
    from af3opt.data.resources import component_index
    from af3opt.execution.planning.plan import make_plan, warn_of_duplicates
    from af3opt.inference.buckets import choose_buckets
    from af3opt.schedulers.estimates import find_estimates
    from af3opt.schedulers.finished import FinishedJobs
    from af3opt.schedulers.intake import Costs, take_in
    from af3opt.schedulers.search_work import find_search_costs
    from af3opt.schedulers.shares import share_out
    from af3opt.schedulers.submission import prepare_submission
    from af3opt.settings.command_line import as_flags

    # The model runs elsewhere later: on a GPU unless --jax_backend says otherwise.
    backend = settings.jax_backend or "gpu"
    buckets = choose_buckets(settings, backend)
    plan = make_plan(settings, buckets, os.environ)
    warn_of_duplicates(settings, plan)
    estimates = find_estimates(settings, output, buckets, backend)
    searches = find_search_costs(settings) if settings.run_data_pipeline else None
    done = None if everything else FinishedJobs(settings, output, os.environ)
    intake = take_in(
        plan,
        settings,
        buckets,
        Costs(seed=estimates.seconds, search=searches),
        done,
        component_index(),
    )
    if done is not None and intake.finished and settings.run_inference:
        _say_what_is_not_compared(done, settings.model_dir)
    to_search, searched = share_out(intake.to_search, site), share_out(intake.searched, site)
    submission = prepare_submission(
        site,
        output,
        to_search=to_search,
        searched=searched,
        inference=settings.run_inference,
        flags=[f"--output_dir={output}", *_absolute(as_flags(settings, _INPUTS | _STAGES))],
    )
    if intake.jobs:
        _log.info(
            "%d fold jobs in %d array task(s), balanced by %s",
            len(intake.jobs), len(to_search) + len(searched), estimates.source,
        )  # fmt: skip
    if searches is not None and intake.to_search:
        _log.info("Times of searches are estimated from %s", searches.source)
    return submission, intake


def _say_what_is_left_out(intake: "Intake") -> None:
    for _, reason in intake.unusable:
        _log.error("Left out: %s", reason)
    if intake.finished:
        _log.info(
            "Left out: %d fold job(s) that are finished (--resubmit submits them, too)",
            intake.finished,
        )


def _say_what_is_not_here(settings: "Settings") -> None:
    """Warns of directories that the tasks need; they may exist on the compute nodes only."""
    needed: dict[str, tuple[str, ...]] = {}
    if settings.run_inference:
        needed["--model_dir"] = (str(settings.model_dir),)
    if settings.run_data_pipeline:
        needed["--db_dir"] = settings.db_dir
    for flag, paths in needed.items():
        if not any(Path(path).exists() for path in paths):
            _log.warning(
                "%s=%s: not found on this machine; if the compute nodes do not have it either, "
                "every task will fail (set %s)",
                flag, paths[0], flag,
            )  # fmt: skip


def _say_what_is_not_compared(done: "FinishedJobs", model_dir: Path) -> None:
    if not done.compares_weights:
        _log.warning(
            "--model_dir=%s: its digest is not known here, so finished jobs count whatever "
            "weights they are from; after a change of weights give --resubmit",
            model_dir,
        )


def _absolute(flags: Sequence[str]) -> list[str]:
    """Makes relative paths absolute: a task may start elsewhere.

    A text may be a path, too (a program, a database): it is one if that exists here, or is
    left alone.
    """
    from af3opt.settings.catalogue import Kind, all_options

    result = []
    for flag in flags:
        name, _, value = flag.partition("=")
        option = all_options().get(name.removeprefix("--"))
        kind = option.kind if option is not None else None
        is_path = kind is Kind.PATH or (
            (kind is Kind.STRINGS or "/" in value)
            and not value.startswith("$")
            and Path(value).exists()
        )
        result.append(f"{name}={Path(value).absolute()}" if is_path else flag)
    return result


def _submit(submission: "Submission", intake: "Intake") -> None:
    from af3opt.execution.outcomes import Status, outcome_of, write_failures
    from af3opt.execution.planning.kept_plans import write_plan
    from af3opt.schedulers.submission import submit_arrays, write_submission

    if intake.jobs:
        write_submission(submission)
        write_plan(submission.output_dir, intake.jobs)
    failed = [
        outcome_of(dataclasses.replace(job, path=job.path.absolute()), Status.FAILED, reason)
        for job, reason in intake.unusable
    ]
    if failed:
        submission.output_dir.mkdir(parents=True, exist_ok=True)
        write_failures(submission.output_dir, failed)
    if intake.jobs:
        for name, job in submit_arrays(submission).items():
            write_out(f"{name}: job {job}\n")
