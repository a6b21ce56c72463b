"""Telling what the engine refuses in an input from our own faults.

The engine raises whatever comes along (ValueError, IndexError, KeyError, classes of its
own). It is about the input if the engine's code raised it, or Python or a library below
that code; an exception of ours stays what it is.
"""

import contextlib
from collections.abc import Iterator

from af3opt.base.errors import InputError

# What the machine or the installation is to blame for, wherever it is raised.
_NOT_THE_INPUT = (OSError, MemoryError, ImportError)
_OURS, _THE_ENGINES = "af3opt", "alphafold3"


class EngineRefusalError(ValueError):
    """What a stand-in for an engine function raises where the engine would refuse the input."""


class RefusedInputError(Exception):
    """The engine refused an input; the text says why, and the cause is its exception."""


def is_refusal(error: Exception) -> bool:
    """Tells whether the engine raised an exception because of its input.

    Args:
        error: An exception that has been caught.
    """
    if isinstance(error, EngineRefusalError):
        return True
    if isinstance(error, _NOT_THE_INPUT):
        return False
    owner, trace = "", error.__traceback__
    while trace is not None:
        package = str(trace.tb_frame.f_globals.get("__name__", "")).partition(".")[0]
        owner = package if package in (_OURS, _THE_ENGINES) else owner
        trace = trace.tb_next
    return owner == _THE_ENGINES


def refusal_text(error: Exception) -> str:
    """One line for what the engine said."""
    text = " ".join(str(error).split())
    if isinstance(error, ValueError) or type(error).__module__.startswith(_THE_ENGINES):
        return text or type(error).__name__
    return f"{type(error).__name__}: {text}"


@contextlib.contextmanager
def refusals() -> Iterator[None]:
    """Turns what the engine refuses inside the block into one kind of exception.

    Raises:
        RefusedInputError: the engine refused the input.
    """
    try:
        yield
    except Exception as error:
        if not is_refusal(error):
            raise
        raise RefusedInputError(refusal_text(error)) from error


@contextlib.contextmanager
def featurising(source: object) -> Iterator[None]:
    """Turns what the engine refuses while it featurises into an error of the input.

    Args:
        source: The input, as messages name it.

    Raises:
        InputError: the engine refused the input.
    """
    try:
        with refusals():
            yield
    except RefusedInputError as error:
        raise InputError(f"{source}: cannot be featurised: {error}") from error
