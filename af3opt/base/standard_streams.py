"""Standard streams: those that a caller has closed, and output that cannot be written."""

import contextlib
import io
import os
import sys
from collections.abc import Iterator
from typing import TextIO

from af3opt.base.errors import Af3optError

_NAMES = ("stdin", "stdout", "stderr")


def open_closed_streams() -> None:
    """Gives each closed standard stream a place that accepts everything and holds nothing.

    Otherwise the next file that is opened gets the closed stream's number, and what this
    process or a program that it starts writes to the stream lands in that file.
    """
    for number, name in enumerate(_NAMES):
        if not _is_open(number):
            # The lowest free number is this one: those below are open by now.
            os.open(os.devnull, os.O_RDWR)
            os.set_inheritable(number, True)
        if getattr(sys, name) is None:
            setattr(sys, name, _text_stream(number))


def write_out(text: str) -> None:
    """Writes to standard output.

    Raises:
        Af3optError: it cannot be written, as on a full disk.
        BrokenPipeError: nobody reads it any more.
    """
    with _writing():
        sys.stdout.write(text)


def flush_out() -> None:
    """Writes what standard output still keeps; raises as `write_out` does."""
    with _writing():
        sys.stdout.flush()


@contextlib.contextmanager
def _writing() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        discard_output()
        raise Af3optError(
            f"standard output cannot be written: {error.strerror}; the output is not complete: "
            "write it to another place"
        ) from error


def discard_output() -> None:
    """Lets standard output accept everything from now on: Python writes its rest at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True


def _text_stream(number: int) -> TextIO:
    # Not closed at the end: the number stays in use as long as the process lives.
    raw = os.fdopen(number, "rb" if number == 0 else "wb", closefd=False)
    return io.TextIOWrapper(raw, encoding="utf-8", errors="replace", line_buffering=True)
