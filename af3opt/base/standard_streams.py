"""Standard streams that a caller has closed."""

import io
import os
import sys
from typing import TextIO

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
