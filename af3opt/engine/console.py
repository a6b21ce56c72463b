"""Turns what the engine prints into log lines."""

import contextlib
import io
import logging
from collections.abc import Iterator


class _LineLogger(io.TextIOBase):
    """A text stream that logs each complete, non-empty line."""

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger
        self._partial = ""

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        *lines, self._partial = (self._partial + text).split("\n")
        for line in lines:
            if line.strip():
                self._logger.info("%s", line.strip())
        return len(text)


@contextlib.contextmanager
def prints_to_log(logger: logging.Logger) -> Iterator[None]:
    """Logs what is printed inside the block, so that batch logs keep one format."""
    with contextlib.redirect_stdout(_LineLogger(logger)):
        yield
