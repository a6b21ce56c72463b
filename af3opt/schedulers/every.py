"""All schedulers, and which of them a machine has."""

import os
import shutil
from collections.abc import Collection, Mapping

from af3opt.base.errors import UsageError
from af3opt.schedulers.core import Scheduler
from af3opt.schedulers.lsf import Lsf
from af3opt.schedulers.pbs import Pbs
from af3opt.schedulers.sge import GridEngine
from af3opt.schedulers.slurm import Slurm

SCHEDULERS: Mapping[str, Scheduler] = {
    scheduler.name: scheduler for scheduler in (Slurm(), Pbs(), Lsf(), GridEngine())
}
# A command that only this scheduler has: qsub alone is PBS's and Grid Engine's.
_TELLTALES = {"slurm": "sbatch", "pbs": "pbsnodes", "lsf": "bsub", "sge": "qconf"}


def choose_scheduler(wanted: str | None, described: Collection[str]) -> Scheduler:
    """Finds out which scheduler a batch goes to.

    Args:
        wanted: Value of `--scheduler`; None and "auto" leave it to this function.
        described: Schedulers that the site's file has a table for.

    Raises:
        UsageError: there is no such scheduler, the file does not describe it, or several
            are possible.
    """
    if wanted not in (None, "auto"):
        if wanted not in SCHEDULERS:
            raise UsageError(f"--scheduler={wanted}: give auto, {', '.join(SCHEDULERS)}")
        if wanted not in described:
            raise UsageError(
                f"--scheduler={wanted}: the site's file has no table [{wanted}], only "
                f"{', '.join(f'[{name}]' for name in described)}"
            )
        return SCHEDULERS[wanted]
    found = [name for name in described if len(described) == 1 or _is_here(name)]
    if len(found) != 1:
        raise UsageError(
            f"the site's file describes {', '.join(described)}, and "
            f"{'none' if not found else 'more than one'} of them is on this machine; "
            "give --scheduler=NAME"
        )
    return SCHEDULERS[found[0]]


def _is_here(name: str) -> bool:
    return shutil.which(_TELLTALES[name], path=os.environ.get("PATH")) is not None
