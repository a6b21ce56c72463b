"""Ending at once and cleanly on Ctrl-C or SIGTERM, even inside a long device call.

Python runs signal handlers between bytecodes of the main thread, and that thread
may sit in a compiled model for minutes. The C-level handler, however, writes the
signal's number to a file descriptor straight away (`signal.set_wakeup_fd`), and
device calls release the interpreter lock: a watching thread can act.
"""

import contextlib
import logging
import os
import shutil
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil

from af3opt.errors import ExitCode
from af3opt.output.atomic import is_own_temporary

_log = logging.getLogger(__name__)

_EXIT_CODES = {signal.SIGINT: ExitCode.INTERRUPTED, signal.SIGTERM: ExitCode.TERMINATED}


class InterruptGuard:
    """Ends the process on SIGINT or SIGTERM without leaving half-written files.

    Results become visible only by rename, so it is enough to remove temporary
    files in the directories registered with `watch` and to end child processes.
    """

    def __init__(self) -> None:
        self._directories: set[Path] = set()
        self._lock = threading.Lock()

    def watch(self, directory: Path) -> None:
        """Cleans temporary files in and directly below `directory` when interrupted."""
        with self._lock:
            self._directories.add(directory)

    @contextlib.contextmanager
    def active(self) -> Iterator["InterruptGuard"]:
        """Handles the signals inside the block; must be entered on the main thread."""
        reader, writer = socket.socketpair()
        reader.setblocking(True)
        writer.setblocking(False)
        previous = {number: signal.signal(number, _do_nothing) for number in _EXIT_CODES}
        old_fd = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
        watcher = threading.Thread(
            target=self._wait, args=(reader,), name="interrupt-guard", daemon=True
        )
        watcher.start()
        try:
            yield self
        finally:
            signal.set_wakeup_fd(old_fd)
            for number, handler in previous.items():
                signal.signal(number, handler)
            writer.close()
            watcher.join(timeout=5)
            reader.close()

    def _wait(self, reader: socket.socket) -> None:
        while data := reader.recv(1):
            number = signal.Signals(data[0])
            if number in _EXIT_CODES:
                self._end(number)

    def _end(self, number: signal.Signals) -> None:
        _log.warning(
            "Stopped by %s. Finished results are complete; nothing half-written is left.",
            number.name,
        )
        with contextlib.suppress(psutil.Error):
            for child in psutil.Process().children(recursive=True):
                with contextlib.suppress(psutil.Error):
                    child.kill()
        with self._lock:
            directories = list(self._directories)
        for directory in directories:
            remove_temporaries(directory)
        logging.shutdown()
        # The main thread cannot be unwound from here: it may be inside a device call.
        os._exit(_EXIT_CODES[number])


def _do_nothing(_number: int, _frame: object) -> None:
    """A Python-level handler must exist for the wake-up descriptor to be written."""


def remove_temporaries(directory: Path) -> None:
    """Removes this process's unfinished atomic writes in `directory` and its children."""
    with contextlib.suppress(OSError):
        for parent in [directory, *(path for path in directory.iterdir() if path.is_dir())]:
            for path in parent.iterdir():
                if is_own_temporary(path):
                    if path.is_dir():
                        shutil.rmtree(path, ignore_errors=True)
                    else:
                        path.unlink(missing_ok=True)
