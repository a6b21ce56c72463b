"""`af3opt submit`: hands a batch to Slurm."""

import datetime
import logging
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from af3opt.base.errors import ExitCode, SetupError, UsageError

if TYPE_CHECKING:
    from af3opt.settings.settings import Settings
    from af3opt.slurm.site import Site

SUMMARY = "run a batch on Slurm: a CPU array for searches, a GPU array for inference"

_HELP = """\
Usage: af3opt submit --slurm SITE.toml [--dry_run] [flags of af3opt run]

Writes and submits two Slurm arrays for the inputs: one for the data pipeline, one for inference,
of which each task waits for the matching task of the first (aftercorr). A stage that is turned
off (--norun_data_pipeline, --norun_inference) is left out. Inputs are shared out by padded size
and estimated time. Run the same command again to do what is missing.

  --slurm      TOML file with the site's partitions, limits and start-up lines, or the name of a
               shipped example (two-partitions)
  --dry_run    print the scripts instead of submitting them

af3opt status DIR shows how far the batch is, af3opt collect DIR makes a table of its scores.
"""

_SLURM_FLAG = "--slurm"
_INPUTS = frozenset(
    {"json_path", "input_dir", "input_list", "recursive", "output_dir", "dry_run", "shard"}
)
_STAGES = frozenset({"run_data_pipeline", "run_inference"})

_log = logging.getLogger(__name__)


def main(argv: list[str]) -> int:
    """Runs `af3opt submit` and returns the exit code.

    Raises:
        UsageError: a flag or the site's file is wrong.
        InputError: there are no inputs.
        SetupError: sbatch is missing or refuses.
    """
    if {"--help", "-help", "-h"}.intersection(argv):
        sys.stdout.write(_HELP)
        return ExitCode.OK
    from af3opt.base.extra_flag import take_flag
    from af3opt.settings.settings import check_run_settings, resolve_settings
    from af3opt.slurm.site import load_site

    name, rest = take_flag(argv, _SLURM_FLAG, "a file or the name of an example")
    settings = resolve_settings(rest, os.environ)
    check_run_settings(settings)
    if not settings.resume:
        raise UsageError("af3opt submit needs resume, which --noresume turns off")
    if name is None:
        raise UsageError("af3opt submit: give --slurm=SITE.toml, or --slurm=two-partitions")
    scripts = _write_batch(settings, load_site(name))
    if settings.dry_run:
        for stage, text in scripts.items():
            sys.stdout.write(f"# ---- {stage}\n{text}\n")
        return ExitCode.OK
    _submit(scripts)
    return ExitCode.OK


def _write_batch(settings: "Settings", site: "Site") -> dict[str, str]:
    """Writes the input lists, unless it is a dry run, and returns the scripts by stage."""
    from af3opt.base.atomic import atomic_write_text
    from af3opt.execution.command_line import as_flags
    from af3opt.execution.planning.kept_plans import write_plan
    from af3opt.execution.planning.plan import make_plan
    from af3opt.execution.state_directory import STATE_DIRECTORY, jobs_directory
    from af3opt.inference.buckets import choose_buckets
    from af3opt.slurm.estimates import find_estimates
    from af3opt.slurm.scripts import job_script
    from af3opt.slurm.shares import share_out

    assert settings.output_dir is not None
    output = settings.output_dir.absolute()
    # The model runs elsewhere later: on a GPU unless --jax_backend says otherwise.
    backend = settings.jax_backend or "gpu"
    buckets = choose_buckets(settings, backend)
    plan = make_plan(settings, buckets, os.environ)
    estimates = find_estimates(settings, output, buckets, backend)
    shares = share_out(
        plan, buckets, site, num_seeds=settings.num_seeds, estimate=estimates.seconds
    )
    stamp = datetime.datetime.now().strftime("%Y%m%d_%H%M%S_%f")
    lists = output / STATE_DIRECTORY / "submitted" / stamp
    logs = output / site.log_dir
    if not settings.dry_run:
        lists.mkdir(parents=True)
        logs.mkdir(parents=True, exist_ok=True)
        write_plan(output, plan)
        for index, share in enumerate(shares):
            text = "".join(f"{path.absolute()}\n" for path in share)
            atomic_write_text(lists / f"{index:04d}.txt", text)
    flags = [f"--output_dir={output}", *_absolute(as_flags(settings, _INPUTS | _STAGES))]
    stages = {"data": settings.run_data_pipeline, "inference": settings.run_inference}
    scripts = {}
    for stage in [stage for stage, wanted in stages.items() if wanted]:
        scripts[stage] = job_script(
            stage,
            site.stages[stage],
            flags,
            tasks=len(shares),
            lists=lists,
            log_dir=logs,
            journals=jobs_directory(output),
        )
        if not settings.dry_run:
            atomic_write_text(lists / f"{stage}.sbatch", scripts[stage])
    _log.info(
        "%d fold jobs in %d array task(s), shared out by %s",
        len(plan), len(shares), estimates.source,
    )  # fmt: skip
    return scripts


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


def _submit(scripts: dict[str, str]) -> None:
    job: str | None = None
    for stage, text in scripts.items():
        # The arrays have the same tasks; inference of one share needs its searches only.
        dependency = [f"--dependency=aftercorr:{job}"] if job else []
        job = _sbatch([*dependency], text)
        sys.stdout.write(f"{stage}: job {job}\n")


def _sbatch(options: Sequence[str], script: str) -> str:
    try:
        answer = subprocess.run(
            ["sbatch", "--parsable", *options],
            input=script,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    except FileNotFoundError as error:
        raise SetupError("sbatch is not on PATH; run this where Slurm is, or --dry_run") from error
    except subprocess.TimeoutExpired as error:
        raise SetupError("sbatch did not answer within 120 s; try again") from error
    if answer.returncode:
        raise SetupError(f"sbatch refused the job: {' '.join(answer.stderr.split())}")
    return answer.stdout.strip().split(";")[0]
