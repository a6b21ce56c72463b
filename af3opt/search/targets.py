"""The files of a protein database, read as they lie.

A file that changes while it is read would give a search of neither its old nor its new content, so
its identity is compared before and after.
"""

import contextlib
import dataclasses
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Self

from af3opt.base.errors import SetupError
from af3opt.base.foreign_files import open_foreign
from af3opt.base.ownership import RefusedFileError
from af3opt.search.aside import Aside

# By these endings HMMER takes a file for something else than plain FASTA.
_OTHER_FORMATS = (".gz", ".gb")


class DatabaseError(SetupError):
    """A database cannot be read, or changed while it was read."""


@dataclasses.dataclass(frozen=True, slots=True)
class _Identity:
    device: int
    inode: int
    size: int
    modified_ns: int

    @classmethod
    def of(cls, status: os.stat_result) -> Self:
        return cls(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)


class TargetFile:
    """One open FASTA file.

    Attributes:
        path: The file.
        size: Bytes, when it was opened.
    """

    def __init__(self, path: Path) -> None:
        """Opens a file.

        Raises:
            DatabaseError: it cannot be opened or is no regular file.
        """
        self.path = path
        self._stream = _open(path)
        self._identity = _Identity.of(os.fstat(self._stream.fileno()))
        self.size = self._identity.size

    def __enter__(self) -> Self:
        """Returns the open file."""
        return self

    def __exit__(self, *_: object) -> None:
        """Closes it."""
        self._stream.close()

    @contextlib.contextmanager
    def reader(self) -> Iterator[int]:
        """Opens the file once more and yields the descriptor.

        The system reads ahead for each open file, so every thread needs its own.

        Raises:
            DatabaseError: another file lies there now.
        """
        with _open(self.path) as stream:
            if _Identity.of(os.fstat(stream.fileno())) != self._identity:
                raise self._changed()
            yield stream.fileno()

    def check_unchanged(self) -> None:
        """Compares the open file and its path with what was opened.

        Raises:
            DatabaseError: one of them is another file or was written to.
        """
        try:
            states = os.fstat(self._stream.fileno()), self.path.stat()
        except OSError as error:
            raise unreadable(self.path, error) from error
        if any(_Identity.of(status) != self._identity for status in states):
            raise self._changed()

    def _changed(self) -> DatabaseError:
        return DatabaseError(f"{self.path} changed while it was searched; run this again")


def read_ahead(descriptor: int, span: range) -> None:
    """Asks the system to fetch a span of a file, unless it is in memory already.

    Reading alone makes the system fetch a few hundred kilobytes at a time, which wastes fast disks
    and network file systems. For a file in memory, asking would cost a tenth of a scan.
    """
    middle = span.start + len(span) // 2
    # Reads only what is in memory. Pythons that were built for an old system do not have it.
    nowait: int | None = getattr(os, "RWF_NOWAIT", None)
    with contextlib.suppress(OSError):
        if nowait is not None and os.preadv(descriptor, [bytearray(1)], middle, nowait):
            return
    with contextlib.suppress(OSError):
        os.posix_fadvise(descriptor, span.start, len(span), os.POSIX_FADV_WILLNEED)


def not_plain_fasta(path: Path) -> Aside | None:
    """Says why HMMER would not take a file for FASTA by its name; None if it would."""
    if path.name.endswith(_OTHER_FORMATS):
        return Aside(f"{path} is not plain FASTA by its name")
    return None


def unreadable(path: Path, error: OSError) -> DatabaseError:
    """The error for a file that the system cannot read."""
    return DatabaseError(f"{path} cannot be read: {error.strerror or error}")


def _open(path: Path) -> BinaryIO:
    try:
        return open_foreign(path, sys.maxsize, follow_links=True)
    except RefusedFileError as error:
        raise DatabaseError(str(error)) from error
    except OSError as error:
        raise unreadable(path, error) from error
