"""Processes of `multiprocessing` that import nothing from the working directory.

It starts them by `python -c`, which looks for every module in the working directory first:
a user's `signal.py` there, or somebody else's, would run in place of Python's.
"""

import contextlib
import os
import threading
from collections.abc import Iterator
from multiprocessing import resource_tracker
from multiprocessing.context import SpawnContext, SpawnProcess

# As the flag -P, which `multiprocessing` cannot be told to pass on.
_VARIABLE = "PYTHONSAFEPATH"
_setting = threading.Lock()


class _Process(SpawnProcess):
    def start(self) -> None:
        with _safe_path():
            super().start()


class _Context(SpawnContext):
    Process = _Process


def spawn_context() -> SpawnContext:
    """Returns a context whose processes are spawned, and find modules where this one does.

    They are not forked: neither threads nor an accelerator would survive that.
    """
    # Locks and queues start this process of `multiprocessing` before any other.
    with _safe_path():
        resource_tracker.ensure_running()
    return _Context()


@contextlib.contextmanager
def _safe_path() -> Iterator[None]:
    """Sets the variable for what is started meanwhile, and for nothing that is started later."""
    with _setting:
        before = os.environ.get(_VARIABLE)
        os.environ[_VARIABLE] = "1"
        try:
            yield
        finally:
            if before is None:
                del os.environ[_VARIABLE]
            else:
                os.environ[_VARIABLE] = before
