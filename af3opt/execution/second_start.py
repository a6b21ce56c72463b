"""A second start with unified memory, for jobs that do not fit on the GPU.

Whether a GPU may spill to host memory is decided when JAX starts, and spilling slows
down what would have fitted. So everything is tried without it, and what did not fit
is left to the same command with `--unified_memory`, which takes this process's place;
whatever is finished by then is recognised and not done again.
"""

import logging
import os
import sys
import threading
from collections.abc import Mapping, Sequence
from typing import NoReturn

from af3opt.base.child_process import module_command
from af3opt.inference.splitting import DeviceMemoryError
from af3opt.inference.weights_copy import FINISHER_THREAD
from af3opt.memory import MemoryShortageError
from af3opt.settings.settings import Settings

_log = logging.getLogger(__name__)


def spilling_helps(settings: Settings, backend: str, error: Exception) -> bool:
    """Whether a job that failed is worth a second start.

    Args:
        settings: `--unified_memory` given either way is obeyed; without `--resume`
            the second start would repeat everything.
        backend: "cpu", "gpu" or "mps".
        error: Why the job failed.
    """
    if backend != "gpu" or settings.unified_memory is not None or not settings.resume:
        return False
    if isinstance(error, MemoryShortageError):
        return error.spilling_helps
    return isinstance(error, DeviceMemoryError)


def as_left(argv: Sequence[str], settings: Settings, seconds: float) -> list[str]:
    """The flags of the second start, which has the time that the first one has left.

    Args:
        argv: Flags of `af3opt run`, as given.
        settings: What they stand for.
        seconds: How long the first start has taken.
    """
    flags = [*argv]
    if settings.json_path is not None:
        # What was given may have been a pipe, which is empty by now.
        flags.append(f"--json_path={settings.json_path}")
    flags.append("--unified_memory")
    if settings.max_runtime is not None:
        flags.append(f"--max_runtime={max(1, settings.max_runtime - int(seconds))}")
    return flags


def start_again(argv: Sequence[str], environment: Mapping[str, str]) -> NoReturn:
    """Replaces this process by another `af3opt run`.

    Args:
        argv: Its flags; see `as_left`.
        environment: The environment as it was before this process prepared it.
    """
    _log.warning(
        "Not every job fits on the GPU: starting again with --unified_memory for those that do "
        "not (--nounified_memory lets them fail)"
    )
    for thread in threading.enumerate():
        if thread.name == FINISHER_THREAD:
            thread.join()
    logging.shutdown()
    command = [*module_command("af3opt"), "run", *argv]
    os.execve(sys.executable, command, dict(environment))  # noqa: S606 - no shell is meant
