"""Ending at once and cleanly on Ctrl-C or SIGTERM, even inside a long device call.

Python runs signal handlers between bytecodes of the main thread, and that thread
may sit in a compiler or a compiled model for minutes; besides, XLA replaces the
handler of SIGINT while it compiles. So both signals are blocked in every thread,
which keeps them pending whatever handlers there are, and one thread waits for them.

SIGUSR1, where it is asked for, ends nothing: it says that no further seed may start.
"""

import contextlib
import logging
import os
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil

from af3opt.base.atomic import is_own_temporary, stop_writing
from af3opt.base.errors import ExitCode

_log = logging.getLogger(__name__)

# Wakes the waiting thread when the guarded block is left. `sigtimedwait` with short waits is
# no way to look for that: where the interpreter's lock is contended, CPython 3.12 hands back a
# result that it has never filled in, with any number for the signal.
_WAKE = signal.SIGRTMIN + 7
_MOST_SWEEPS = 50
_SWEEP_SECONDS = 0.02
# A thread may be about to start a child process while nothing new is seen.
_QUIET_SWEEPS = 5
_ENDING = (signal.SIGINT, signal.SIGTERM)


class InterruptGuard:
    """Ends the process on SIGINT or SIGTERM without leaving half-written files.

    Results become visible only by rename, so it is enough to remove temporary
    files in the directories registered with `watch` and to end child processes.

    Attributes:
        stop_requested: Set when SIGUSR1 came.
    """

    def __init__(self, *, resumable: bool = False, takes_stop_requests: bool = False) -> None:
        """Chooses what the signals mean.

        Args:
            resumable: After SIGTERM the same command can continue: exit with 75
                instead of 143.
            takes_stop_requests: Take SIGUSR1 as well and set `stop_requested`.
        """
        self._resumable = resumable
        self._codes = {
            signal.SIGINT: ExitCode.INTERRUPTED,
            signal.SIGTERM: ExitCode.REQUEUE if resumable else ExitCode.TERMINATED,
        }
        self._signals = (*_ENDING, signal.SIGUSR1) if takes_stop_requests else _ENDING
        self._directories: set[Path] = set()
        self._last_steps: dict[int, Callable[[], None]] = {}
        self._lock = threading.Lock()
        self.stop_requested = threading.Event()

    def watch(self, directory: Path) -> None:
        """Cleans temporary files in and directly below `directory` when interrupted."""
        with self._lock:
            self._directories.add(directory)

    @contextlib.contextmanager
    def at_end(self, step: Callable[[], None]) -> Iterator[None]:
        """Calls `step` if the process is ended by a signal inside the block."""
        with self._lock:
            self._last_steps[id(step)] = step
        try:
            yield
        finally:
            with self._lock:
                self._last_steps.pop(id(step), None)

    @contextlib.contextmanager
    def active(self) -> Iterator["InterruptGuard"]:
        """Handles the signals inside the block.

        To be entered before JAX or numpy start threads: these inherit the blocked
        signals, and a signal must not find a thread that would take it. Child
        processes inherit them as well; they are ended by the guard itself.
        """
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, (*self._signals, _WAKE))
        stop = threading.Event()
        watcher = threading.Thread(
            target=self._wait, args=(stop,), name="interrupt-guard", daemon=True
        )
        watcher.start()
        try:
            yield self
        finally:
            stop.set()
            assert watcher.ident is not None
            signal.pthread_kill(watcher.ident, _WAKE)
            watcher.join()
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)

    def _wait(self, stop: threading.Event) -> None:
        while not stop.is_set():
            try:
                self._take_one()
            except Exception as error:
                # Without this thread no signal would end the process any more.
                _log.debug("Waiting for signals", exc_info=error)
                stop.wait(_SWEEP_SECONDS)

    def _take_one(self) -> None:
        received = signal.sigwait((*self._signals, _WAKE))
        if received == signal.SIGUSR1:
            self.stop_requested.set()
            _log.warning("SIGUSR1: no further seed is started; run the same command again.")
        elif received != _WAKE:
            self._end(signal.Signals(received))

    def _end(self, number: signal.Signals) -> None:
        children: set[psutil.Process] = set()
        try:
            _log.warning(
                "Stopped by %s. Finished results are complete; nothing half-written is left.%s",
                number.name,
                " To go on, run the same command again." if self._resumable else "",
            )
            stop_writing()
            children = suspend_children()
            self._leave_nothing()
        except Exception as error:
            _log.warning("Files of this process may be left: %s", error, exc_info=True)
        finally:
            # Killed last, and without letting a thread in: one that waits for a child process
            # would write down how it ended, or start another one, that would outlive this.
            for child in children:
                with contextlib.suppress(OSError):
                    os.kill(child.pid, signal.SIGKILL)
            # The main thread cannot be unwound from here: it may be inside a device call.
            os._exit(self._codes[number])

    def _leave_nothing(self) -> None:
        """Removes unfinished files and takes the last steps."""
        with self._lock:
            directories, last_steps = list(self._directories), list(self._last_steps.values())
        for directory in directories:
            remove_temporaries(directory)
        for step in last_steps:
            with contextlib.suppress(OSError):
                step()
        logging.shutdown()


def suspend_children() -> set[psutil.Process]:
    """Stops all child processes where they are, and those that are started meanwhile.

    Returns:
        The child processes. Threads that wait for them go on waiting.
    """
    suspended: set[psutil.Process] = set()
    quiet = 0
    while quiet < _QUIET_SWEEPS:
        new = _children() - suspended
        for child in new:
            with contextlib.suppress(psutil.Error):
                child.suspend()
        suspended |= new
        quiet = 0 if new else quiet + 1
        time.sleep(_SWEEP_SECONDS)
    return suspended


def _children() -> set[psutil.Process]:
    """Child processes that run; those that have ended stay until a thread asks for them."""
    found = set()
    with contextlib.suppress(psutil.Error):
        for child in psutil.Process().children(recursive=True):
            with contextlib.suppress(psutil.Error):
                if child.status() != psutil.STATUS_ZOMBIE:
                    found.add(child)
    return found


def remove_temporaries(directory: Path) -> None:
    """Removes this process's unfinished atomic writes in `directory` and its children.

    A thread that is writing may add to a directory while it is removed, so this is
    repeated until nothing is left; with `stop_writing`, nothing new is begun.
    """
    for _ in range(_MOST_SWEEPS):
        with contextlib.suppress(OSError):
            found = [
                path
                for parent in [directory, *filter(Path.is_dir, directory.iterdir())]
                for path in parent.iterdir()
                if is_own_temporary(path)
            ]
            if not found:
                return
            for path in found:
                if path.is_dir():
                    shutil.rmtree(path, ignore_errors=True)
                else:
                    path.unlink(missing_ok=True)
        time.sleep(_SWEEP_SECONDS)
