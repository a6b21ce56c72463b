"""The job scripts of a batch."""

import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

from af3opt.base.errors import ExitCode
from af3opt.slurm.site import StageResources

# The stage's own flag: what the other stage does is left out.
_STAGE_FLAGS = {"data": "--norun_inference", "inference": "--norun_data_pipeline"}


def job_script(
    stage: str,
    resources: StageResources,
    flags: Sequence[str],
    *,
    tasks: int,
    lists: Path,
    log_dir: Path,
    journals: Path,
) -> str:
    """Returns the batch script of one stage's array.

    Args:
        stage: "data" or "inference".
        resources: What its tasks ask for.
        flags: Flags of `af3opt run` for both stages, without inputs.
        tasks: Number of array tasks.
        lists: Directory with the input lists `0000.txt`, `0001.txt`, ...
        log_dir: Directory of the logs.
        journals: Directory of the jobs' journals: what they hold more of after a task than
            before it is what the task, or its neighbours, got done.
    """
    command = [*shlex.split(resources.launcher), *shlex.split(resources.command), "run"]
    lines = [
        "#!/usr/bin/env bash",
        *(f"#SBATCH {option}" for option in _options(stage, resources, tasks, log_dir)),
        "set -uo pipefail",
        "# Since Slurm 22.05 srun does not take this from sbatch, and may bind to one core.",
        '[[ -z "${SLURM_CPUS_PER_TASK:-}" ]] || export SRUN_CPUS_PER_TASK="$SLURM_CPUS_PER_TASK"',
        *resources.prologue,
        "finished() {",
        f"  find {shlex.quote(str(journals))} -name 'seed-*.json' -o -name 'data-*.json' "
        "2>/dev/null | wc -l",
        "}",
        'before="$(finished)"',
        f'list={shlex.quote(str(lists))}/$(printf %04d "$SLURM_ARRAY_TASK_ID").txt',
        "status=0",
        f'{shlex.join(command)} --input_list="$list" {shlex.join([*flags, _STAGE_FLAGS[stage]])} '
        "|| status=$?",
        *_ending(stage, resources),
    ]
    return "\n".join(lines) + "\n"


def _options(stage: str, resources: StageResources, tasks: int, log_dir: Path) -> Iterator[str]:
    throttle = f"%{resources.throttle}" if resources.throttle else ""
    yield f"--job-name=af3opt-{stage}"
    yield f"--array=0-{tasks - 1}{throttle}"
    # sbatch reads quotes as a shell does.
    yield f"--output={shlex.quote(f'{log_dir}/{stage}-%A_%a.log')}"
    yield "--open-mode=append"
    yield "--requeue"
    if resources.term_before_end:
        yield f"--signal=TERM@{resources.term_before_end}"
    for name in ("partition", "account", "qos", "gres", "mem", "time", "cpus_per_task"):
        value = getattr(resources, name)
        if value:
            yield f"--{name.replace('_', '-')}={value}"
    yield from resources.extra


def _ending(stage: str, resources: StageResources) -> Iterator[str]:
    """What a task does when af3opt has ended."""
    yield "# An array's last task has the id of the whole array, so SLURM_JOB_ID would mean all."
    yield 'task="${SLURM_ARRAY_JOB_ID}_${SLURM_ARRAY_TASK_ID}"'
    yield "# A job that was cancelled must not come back: only one that still counts as running."
    yield 'state="$(squeue --noheader --jobs="$task" --format=%T)"'
    yield f"# {int(ExitCode.REQUEUE)}: stopped early, the same command continues."
    yield f'if ((status == {int(ExitCode.REQUEUE)})) && [[ "$state" == RUNNING ]]; then'
    yield "  # Not for ever, if what is left takes longer than the time limit."
    yield (
        f"  if (($(finished) > before || ${{SLURM_RESTART_COUNT:-0}} < {resources.restarts})); then"
    )
    yield '    scontrol requeue "$task"'
    yield "  else"
    yield '    echo "nothing was finished this time; submit again with a longer time limit" >&2'
    yield "  fi"
    yield "fi"
    yield "# Killed, as happens when memory runs out or a node fails: what is finished is kept."
    yield (
        f"if ((status > 128 && ${{SLURM_RESTART_COUNT:-0}} < {resources.restarts})) "
        '&& [[ "$state" == RUNNING ]]; then'
    )
    yield '  scontrol requeue "$task"'
    yield "fi"
    if stage == "data":
        yield f"# {int(ExitCode.SOME_FAILED)}: some inputs failed, which is recorded."
        yield f"((status == {int(ExitCode.SOME_FAILED)})) && status=0"
    yield 'exit "$status"'
