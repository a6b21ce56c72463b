"""Temporary files of searches: named after this process, and removed with it.

The engine makes a temporary directory for each program that it starts, and the scan one for
its survivors. A process that is killed cannot remove them. So all of them carry the process's
mark in their names: a signal that can be caught removes them, and a later process on the same
machine removes those whose process is gone.
"""

import contextlib
import hashlib
import logging
import os
import re
import shutil
import stat
import tempfile
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path

from af3opt.execution.claims.holder import Holder, Machine, is_running, this_process
from af3opt.execution.interrupt import InterruptGuard

_log = logging.getLogger(__name__)

# Machine, process id, and milliseconds from the machine's boot to the process's start.
_MARK = re.compile(r"af3opt-([0-9a-f]{12})-(\d{1,10})-(\d{1,15})-")
# A thread that was about to make a file may still do so.
_MOST_SWEEPS = 10
# Where nothing can be made any more.
_NOWHERE = os.devnull


@contextlib.contextmanager
def marked_temporaries(guard: InterruptGuard) -> Iterator[None]:
    """Gives temporary files made inside the block this process's mark.

    Those of dead processes are removed first, and what is left of its own at the end.

    Args:
        guard: Removes those of this process at a signal.
    """
    process = this_process()
    remove_of_the_dead(process)
    mark = mark_of(process)
    before = tempfile.template
    tempfile.template = mark
    try:
        with guard.at_end(lambda: _remove_own(mark)):
            yield
    finally:
        tempfile.template = before
        # The engine leaves the directory of a sharded search that has failed.
        _remove_all(_own(mark))


def mark_of(process: Holder) -> str:
    """How the names of a process's temporary files begin."""
    milliseconds = round(process.process_uptime * 1000)
    machine = _machine_digest(process.machine)
    return f"af3opt-{machine}-{process.process_id}-{max(0, milliseconds)}-"


def remove_of_the_dead(process: Holder) -> None:
    """Removes temporary files of this user whose process on this machine has ended.

    What another machine, container or user left is not touched: nobody here can know.
    """
    if not process.boot:
        return
    folder, removed = Path(tempfile.gettempdir()), 0
    for path in _marked(folder):
        holder = _holder_of(path.name, process)
        if holder is not None and not is_running(holder):
            removed += _remove(path)
    if removed:
        _log.info(
            "Removed %d temporary file(s) of af3opt processes that were killed from %s",
            removed,
            folder,
        )


def _remove_own(mark: str) -> None:
    """Removes this process's; afterwards no thread can make another."""
    folder = Path(tempfile.gettempdir())
    tempfile.tempdir = _NOWHERE
    for _ in range(_MOST_SWEEPS):
        left = _own(mark, folder)
        if not left:
            return
        _remove_all(left)
        threading.Event().wait(0.01)


def _own(mark: str, folder: Path | None = None) -> list[Path]:
    folder = folder or Path(tempfile.gettempdir())
    return [path for path in _marked(folder) if path.name.startswith(mark)]


def _remove_all(paths: Iterable[Path]) -> None:
    for path in paths:
        _remove(path)


def _marked(folder: Path) -> list[Path]:
    with contextlib.suppress(OSError):
        return [path for path in folder.iterdir() if _MARK.match(path.name)]
    return []


def _holder_of(name: str, process: Holder) -> Holder | None:
    """Whose name it is; None for another machine's."""
    match = _MARK.match(name)
    if match is None or match[1] != _machine_digest(process.machine):
        return None
    return Holder(
        host=process.host,
        boot=process.boot,
        namespace=process.namespace,
        process_id=int(match[2]),
        process_start=0.0,
        process_uptime=int(match[3]) / 1000,
        job=None,
    )


def _machine_digest(machine: Machine) -> str:
    text = "\0".join((machine.host, machine.boot, machine.namespace))
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _remove(path: Path) -> bool:
    """Removes a directory or file of this user's; a link is neither followed nor removed."""
    try:
        status = path.lstat()
        if status.st_uid != os.geteuid():
            return False
        if stat.S_ISDIR(status.st_mode):
            shutil.rmtree(path)
        elif stat.S_ISREG(status.st_mode):
            path.unlink()
        else:
            return False
    except OSError:
        return False
    return True
