"""Reading files that somebody else may have put there.

Results and caches lie in directories that others can write to. A link could lead to a
private file of the reader, a FIFO could hold the process up for ever, and a device could
fill the memory. So such a file is opened without following a link, without waiting, and
only if it is a regular file of a sane size, and of this user where that matters. What is
checked is the open file, not the name: nobody can exchange it in between.
"""

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

from af3opt.base.ownership import RefusedFileError, checked_directory, trust_problem

_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def open_foreign(
    path: Path, max_bytes: int, *, private: bool = False, follow_links: bool = False
) -> BinaryIO:
    """Opens a regular file for reading.

    Links in the directories above the file are followed: those are the reader's choice.

    Args:
        path: The file.
        max_bytes: Largest size to accept.
        private: Refuse a file that another user owns or can write to. The directories
            above are not looked at; see `open_private`.
        follow_links: Follow a link in place of the file, as for a path that the user typed.

    Raises:
        RefusedFileError: it is a link or no regular file, is too large, or is not private.
        OSError: it cannot be opened.
    """
    flags = _FLAGS & ~os.O_NOFOLLOW if follow_links else _FLAGS
    return _open(path, path, flags, max_bytes, private=private)


def read_foreign(
    path: Path, max_bytes: int, *, private: bool = False, follow_links: bool = False
) -> bytes:
    """Returns the content of a regular file.

    Args:
        path: The file.
        max_bytes: Largest size to accept, also of a file that grows meanwhile.
        private: As for `open_foreign`.
        follow_links: As for `open_foreign`.

    Raises:
        RefusedFileError: as for `open_foreign`.
        OSError: it cannot be read.
    """
    with open_foreign(path, max_bytes, private=private, follow_links=follow_links) as stream:
        return _read(stream, path, max_bytes)


def open_private(path: Path, max_bytes: int) -> BinaryIO:
    """Opens a regular file that only this user or root can have written or replaced.

    Raises:
        RefusedFileError: as for `open_foreign`; or somebody else owns, or can write to, the
            file or a directory above it.
        OSError: it cannot be opened.
    """
    with checked_directory(path.parent) as folder:
        return _open(path, Path(path.name), _FLAGS, max_bytes, private=True, folder=folder)


def read_private(path: Path, max_bytes: int) -> bytes:
    """Returns the content of a file that nobody else can have written; see `open_private`.

    Raises:
        RefusedFileError: as for `open_private`.
        OSError: it cannot be read.
    """
    with open_private(path, max_bytes) as stream:
        return _read(stream, path, max_bytes)


def _open(
    path: Path,
    name: Path,
    flags: int,
    max_bytes: int,
    *,
    private: bool,
    folder: int | None = None,
) -> BinaryIO:
    try:
        descriptor = os.open(name, flags, dir_fd=folder)
    except OSError as error:
        if error.errno == errno.ELOOP:
            reason = "is a link; links are not followed"
            raise RefusedFileError(path, reason, errno.ELOOP) from error
        if error.errno == errno.ENXIO:
            raise RefusedFileError(path, "is not a regular file", errno.EINVAL) from error
        error.filename = str(path)
        raise
    try:
        _check(os.fstat(descriptor), path, max_bytes, private=private)
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def _check(status: os.stat_result, path: Path, max_bytes: int, *, private: bool) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise RefusedFileError(path, "is not a regular file", errno.EINVAL)
    problem = trust_problem(status) if private else None
    if problem:
        raise RefusedFileError(path, problem)
    if status.st_size > max_bytes:
        raise _too_large(path, max_bytes)


def _read(stream: BinaryIO, path: Path, max_bytes: int) -> bytes:
    content = stream.read(max_bytes + 1)
    if len(content) > max_bytes:
        raise _too_large(path, max_bytes)
    return content


def _too_large(path: Path, max_bytes: int) -> RefusedFileError:
    return RefusedFileError(path, f"is larger than {max_bytes} bytes; not read", errno.EFBIG)
