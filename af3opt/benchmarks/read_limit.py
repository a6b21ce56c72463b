"""Programs that may read only so many bytes a second, whoever they are.

Slow storage is imitated without a right of root and without a change to the program: Linux
counts what a process has read (`rchar` in /proc/PID/io). A process that is ahead of its
allowance is stopped until the allowance has caught up. So it ends no earlier than its bytes
can have arrived, and what it computes meanwhile costs nothing extra, as with a disk that
reads ahead perfectly.
"""

import contextlib
import os
import signal
import subprocess
import time
from pathlib import Path

from af3opt.base.errors import SetupError

_LOOK_SECONDS = 0.004


def hold_back(process: "subprocess.Popen[bytes]", bytes_per_second: float) -> None:
    """Limits what a process reads from now on, until it ends.

    Args:
        process: A child of this process; waited for.
        bytes_per_second: Its allowance.

    Raises:
        SetupError: this system does not tell what a process has read.
    """
    begun, before = time.monotonic(), bytes_read(process.pid)
    if before is None:
        raise SetupError("/proc does not tell what a process has read: no reader can be limited")
    stopped = False
    try:
        while process.poll() is None:
            read = bytes_read(process.pid)
            if read is None:  # It has ended.
                break
            early = (read - before) / bytes_per_second - (time.monotonic() - begun)
            if (early > 0) != stopped:
                stopped = not stopped
                _signal(process, signal.SIGSTOP if stopped else signal.SIGCONT)
            time.sleep(max(_LOOK_SECONDS, early))
    finally:
        _signal(process, signal.SIGCONT)
    process.wait()


def bytes_read(process_id: int) -> int | None:
    """Bytes that a process has asked the system to read; None if that cannot be told."""
    try:
        text = Path(f"/proc/{process_id}/io").read_text(encoding="ascii")
    except OSError:
        return None
    return int(text.split("rchar:", 1)[1].split(maxsplit=1)[0])


def _signal(process: "subprocess.Popen[bytes]", number: signal.Signals) -> None:
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, number)
