"""Ending at once and cleanly on Ctrl-C or SIGTERM, even inside a long device call.

Python runs signal handlers between bytecodes of the main thread, and that thread
may sit in a compiler or a compiled model for minutes; besides, XLA replaces the
handler of SIGINT while it compiles. So both signals are blocked in every thread,
which keeps them pending whatever handlers there are, and one thread waits for them.
"""

import contextlib
import logging
import os
import shutil
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil

from af3opt.errors import ExitCode
from af3opt.output.atomic import is_own_temporary

_log = logging.getLogger(__name__)

# How long leaving the guarded block may take.
_POLL_SECONDS = 0.1
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
        """Handles the signals inside the block.

        To be entered before JAX or numpy start threads: these inherit the blocked
        signals, and a signal must not find a thread that would take it. Child
        processes inherit them as well; they are ended by the guard itself.
        """
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, _EXIT_CODES)
        stop = threading.Event()
        watcher = threading.Thread(
            target=self._wait, args=(stop,), name="interrupt-guard", daemon=True
        )
        watcher.start()
        try:
            yield self
        finally:
            stop.set()
            watcher.join()
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)

    def _wait(self, stop: threading.Event) -> None:
        while not stop.is_set():
            received = signal.sigtimedwait(_EXIT_CODES, _POLL_SECONDS)
            if received is not None:
                self._end(signal.Signals(received.si_signo))

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
