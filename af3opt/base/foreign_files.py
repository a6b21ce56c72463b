"""Reading files that somebody else may have put there.

Results and caches lie in directories that others can write to. A link could lead to a
private file of the reader, a FIFO could hold the process up for ever, and a device could
fill the memory. So such a file is opened without following a link, without waiting, and
only if it is a regular file of a sane size. What is checked is the open file, not the
name: nobody can exchange it in between.
"""

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO


def open_foreign(path: Path, max_bytes: int) -> BinaryIO:
    """Opens a regular file for reading.

    Links in the directories above the file are followed: those are the reader's choice.

    Args:
        path: The file.
        max_bytes: Largest size to accept.

    Raises:
        OSError: it cannot be opened, is a link or no regular file, or is too large; the
            reason is in `strerror`.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise OSError(errno.ELOOP, "is a link; links are not followed", str(path)) from error
        raise
    try:
        _check(os.fstat(descriptor), path, max_bytes)
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def read_foreign(path: Path, max_bytes: int) -> bytes:
    """Returns the content of a regular file.

    Args:
        path: The file.
        max_bytes: Largest size to accept, also of a file that grows meanwhile.

    Raises:
        OSError: as for `open_foreign`.
    """
    with open_foreign(path, max_bytes) as stream:
        content = stream.read(max_bytes + 1)
    if len(content) > max_bytes:
        raise _too_large(path, max_bytes)
    return content


def _check(status: os.stat_result, path: Path, max_bytes: int) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "is not a regular file", str(path))
    if status.st_size > max_bytes:
        raise _too_large(path, max_bytes)


def _too_large(path: Path, max_bytes: int) -> OSError:
    return OSError(errno.EFBIG, f"is larger than {max_bytes} bytes; not read", str(path))
