"""The job scripts of a batch: what is the same for every scheduler."""

import shlex
from collections.abc import Sequence
from pathlib import Path

from af3opt.schedulers.core import Array, Scheduler, limit_seconds

# The stage's own flag: what the other stage does is left out.
_STAGE_FLAGS = {"data": "--norun_inference", "inference": "--norun_data_pipeline"}


def job_script(scheduler: Scheduler, array: Array, flags: Sequence[str], journals: Path) -> str:
    """Returns the batch script of one array.

    Args:
        scheduler: Who it is for.
        array: What is submitted.
        flags: Flags of `af3opt run` for both stages, without inputs.
        journals: Directory of the jobs' journals: what they hold more of after a task than
            before it is what the task, or its neighbours, got done.
    """
    resources = array.resources
    flags = [*flags, _STAGE_FLAGS[array.stage]]
    command = [
        *_time_limit(scheduler, array),
        *shlex.split(resources.launcher),
        *shlex.split(resources.command),
        "run",
    ]
    lines = [
        "#!/usr/bin/env bash",
        *(f"{scheduler.directive} {option}" for option in scheduler.options(array)),
        "set -uo pipefail",
        *scheduler.before(),
        *resources.prologue,
        "finished() {",
        f"  find {shlex.quote(str(journals))} -name 'seed-*.json' -o -name 'data-*.json' "
        "2>/dev/null | wc -l",
        "}",
        'before="$(finished)"',
        f"directory={shlex.quote(str(array.directory))}",
        f"index={scheduler.share_index()}",
        f'list="$directory/{array.lists}$(printf %04d "$index").txt"',
        "status=0",
        f'{shlex.join(command)} --input_list="$list" {shlex.join(flags)} || status=$?',
        *scheduler.ending(array),
        'exit "$status"',
    ]
    return "\n".join(lines) + "\n"


def _time_limit(scheduler: Scheduler, array: Array) -> list[str]:
    """What ends af3opt in time where the scheduler cannot be told to warn a job."""
    seconds = limit_seconds(array.resources)
    if scheduler.warns or seconds is None or not array.resources.term_before_end:
        return []
    left = max(1, seconds - array.resources.term_before_end)
    return ["timeout", "--preserve-status", "--signal=TERM", str(left)]
