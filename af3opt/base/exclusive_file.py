"""A file that exactly one of several processes creates.

Its content is there from the first moment where the file system has hard links. Where it
has none, the file is created empty by an exclusive `open`, and whoever created it puts the
whole content in its place: readers have to expect an empty file for that moment.
"""

import errno
import os
from collections.abc import Callable
from pathlib import Path

from af3opt.base.atomic import temporary_sibling

type Link = Callable[[Path, Path], None]

# What file systems without hard links answer (exFAT, some SMB and FUSE mounts).
_NO_HARD_LINKS = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK})
_MOST_TRIES = 3


def create(path: Path, content: bytes, *, temporary_of: Path, link: Link = os.link) -> bool:
    """Creates a file, unless another process has.

    Args:
        path: The file.
        content: What is in it.
        temporary_of: The content is first written to a temporary sibling of this name.
        link: Makes a hard link; another one in tests.

    Returns:
        Whether this call has created it.

    Raises:
        OSError: the directory cannot be written.
    """
    for _ in range(_MOST_TRIES - 1):
        try:
            return _try_to_create(path, content, temporary_of, link)
        except FileNotFoundError:
            # Somebody took the temporary for a dead process's: this one was stopped for long.
            continue
    return _try_to_create(path, content, temporary_of, link)


def has_hard_links(directory: Path, link: Link = os.link) -> bool:
    """Tells whether the file system of a directory has hard links; leaves nothing there.

    Args:
        directory: A directory that can be written.
        link: Makes a hard link; another one in tests.

    Raises:
        OSError: the directory cannot be written.
    """
    one, other = (temporary_sibling(directory / "hard-link") for _ in range(2))
    try:
        one.touch(exist_ok=False)
        link(one, other)
    except OSError as error:
        if error.errno in _NO_HARD_LINKS:
            return False
        raise
    finally:
        other.unlink(missing_ok=True)
        one.unlink(missing_ok=True)
    return True


def _try_to_create(path: Path, content: bytes, temporary_of: Path, link: Link) -> bool:
    temporary = temporary_sibling(temporary_of)
    try:
        temporary.write_bytes(content)
        return _put_in_place(temporary, path, link)
    finally:
        # Also after a write that found the disk full: the empty file is there.
        temporary.unlink(missing_ok=True)


def _put_in_place(temporary: Path, path: Path, link: Link) -> bool:
    try:
        link(temporary, path)
    except OSError as error:
        # A network file system may lose its answer, ask again and find its own link.
        if temporary.stat().st_nlink == 2:
            return True
        if isinstance(error, FileExistsError):
            return False
        if error.errno in _NO_HARD_LINKS:
            return _create_exclusively(temporary, path)
        raise
    return True


def _create_exclusively(temporary: Path, path: Path) -> bool:
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
    except FileExistsError:
        return False
    temporary.replace(path)
    return True
