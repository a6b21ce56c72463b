"""Atomic writes that ask, directly before a file appears, whether it still may."""

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from af3opt.base.atomic import atomic_directory, atomic_file, fsync_tree


def _always() -> None:
    """Nothing speaks against writing."""


class CheckedFiles:
    """Writes files and directories that appear whole, or not at all.

    A job may be taken over by another process while this one is stopped. Then nothing of
    this process may appear among the files of the other. So the check stands after the last
    slow step, writing to disk, and directly before the rename.
    """

    def __init__(self, check: Callable[[], None] = _always) -> None:
        """Takes the check.

        Args:
            check: Raises when nothing may be written any more.
        """
        self.check = check

    @contextlib.contextmanager
    def directory(self, path: Path) -> Iterator[Path]:
        """Yields a scratch directory that becomes `path`; see `atomic_directory`."""
        with atomic_directory(path) as scratch:
            yield scratch
            # What `atomic_directory` flushes once more is on disk by then.
            fsync_tree(scratch)
            self.check()

    @contextlib.contextmanager
    def file(self, path: Path) -> Iterator[BinaryIO]:
        """Opens a stream whose content replaces `path`; see `atomic_file`."""
        with atomic_file(path) as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
            self.check()

    def text(self, path: Path, text: str) -> None:
        """Writes UTF-8 text to `path`, all or nothing."""
        self.write(path, text.encode("utf-8"))

    def write(self, path: Path, content: bytes) -> None:
        """Writes bytes to `path`, all or nothing."""
        with self.file(path) as stream:
            stream.write(content)


UNCHECKED = CheckedFiles()
