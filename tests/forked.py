"""Copies of the test process, for what only a copy can do."""

import multiprocessing
import warnings
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from typing import Any


def start_forked(target: Callable[..., object], *arguments: Any) -> BaseProcess:
    """Calls a function in a copy of this process, which has all that is imported and patched here.

    Everything else starts its processes by "spawn". A copy would hang at a lock that another
    thread held while it was made. The threads that there may be here, pytest-xdist's and XLA's,
    wait for work then and hold none. A copy of a process that has computed with JAX cannot do so
    itself: it lacks those threads.
    """
    process = multiprocessing.get_context("fork").Process(target=target, args=arguments)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python's, about threads
        warnings.simplefilter("ignore", RuntimeWarning)  # JAX's, about its own
        process.start()
    return process
