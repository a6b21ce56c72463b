"""Files and directories that appear complete or not at all.

A temporary sibling is written, flushed to disk and renamed over the final name.
Rename within one directory is atomic on POSIX file systems, NFS and Lustre
included, so a reader, or a run resumed after `kill -9`, never sees half a file.
"""

import contextlib
import ctypes
import errno
import functools
import hashlib
import os
import secrets
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

_TEMPORARY_MARK = ".af3opt-tmp-"
_REPLACED_MARK = ".replaced"

# Of linux/fcntl.h and linux/fs.h.
_HERE = -100
_RENAME_EXCHANGE = 2

# The only thread that may still write, None while all may.
_last_writer: int | None = None


@functools.cache
def _process_token(_process_id: int) -> str:
    """Random name of this process: ids repeat between nodes and containers."""
    return secrets.token_hex(4)


def temporary_sibling(path: Path) -> Path:
    """Returns an unused hidden name in the same directory as `path`.

    It is short whatever the name of `path` is: that may be as long as the file system takes.
    After `stop_writing` it does not return, except in the thread that called that.
    """
    if _last_writer is not None and _last_writer != threading.get_ident():
        threading.Event().wait()
    token = _process_token(os.getpid())
    return path.with_name(f"{_temporary_prefix(path)}{token}-{secrets.token_hex(4)}")


def _temporary_prefix(path: Path) -> str:
    """How the names of all temporary siblings of `path` begin."""
    return f".{hashlib.sha256(os.fsencode(path.name)).hexdigest()[:12]}{_TEMPORARY_MARK}"


def stop_writing() -> None:
    """Lets no other thread begin an atomic write: the process is about to end."""
    global _last_writer
    _last_writer = threading.get_ident()


def is_temporary(path: Path) -> bool:
    """Tells whether `path` is the unfinished side of some atomic write."""
    return path.name.startswith(".") and _TEMPORARY_MARK in path.name


def is_temporary_of(sibling: Path, path: Path) -> bool:
    """Tells whether a name is one that `temporary_sibling` gave for `path`, in any process."""
    return is_temporary(sibling) and sibling.name.startswith(_temporary_prefix(path))


def remove_unfinished(path: Path) -> None:
    """Removes the unfinished sides of atomic writes of `path`, of whatever process.

    The caller holds a lock, or knows that a writer which loses its file does no harm.

    Raises:
        OSError: the directory cannot be read, or a file not be removed.
    """
    for sibling in path.parent.iterdir():
        if is_temporary_of(sibling, path):
            if sibling.is_dir():
                shutil.rmtree(sibling, ignore_errors=True)
            else:
                sibling.unlink(missing_ok=True)


def is_own_temporary(path: Path) -> bool:
    """Tells whether `path` is the unfinished side of an atomic write of this process."""
    return is_temporary(path) and f"{_TEMPORARY_MARK}{_process_token(os.getpid())}-" in path.name


def fsync_directory(path: Path) -> None:
    """Makes renames inside `path` durable; file systems that refuse are tolerated."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        # Some network file systems answer EINVAL: there the rename is all there is.
        with contextlib.suppress(OSError):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def atomic_file(path: Path, *, mode: int = 0o666) -> Iterator[BinaryIO]:
    """Opens a binary stream whose content replaces `path` when the block succeeds.

    Args:
        path: Final file name; its directory must exist.
        mode: Permission bits before the umask.

    Yields:
        A writable binary stream.

    Raises:
        OSError: the disk is full or the directory is not writable; `path` is
            then as it was before.
    """
    temporary = temporary_sibling(path)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    except BaseException as error:
        _name_file(error, path)
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    fsync_directory(path.parent)


def _name_file(error: BaseException, path: Path) -> None:
    """Says which file could not be written: a full disk's error does not by itself."""
    if isinstance(error, OSError) and error.filename is None:
        error.filename = str(path)


def atomic_write_bytes(path: Path, data: bytes, *, mode: int = 0o666) -> None:
    """Writes `data` to `path`, all or nothing; see `atomic_file`."""
    with atomic_file(path, mode=mode) as stream:
        stream.write(data)


def atomic_write_text(path: Path, text: str, *, mode: int = 0o666) -> None:
    """Writes UTF-8 `text` to `path`, all or nothing; see `atomic_file`."""
    atomic_write_bytes(path, text.encode("utf-8"), mode=mode)


def fsync_tree(directory: Path) -> None:
    """Flushes every file below `directory`, then the directories, to disk."""
    for root, _, names in os.walk(directory, topdown=False):
        for name in names:
            descriptor = os.open(os.path.join(root, name), os.O_RDONLY)  # noqa: PTH118
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        fsync_directory(Path(root))


@contextlib.contextmanager
def atomic_directory(path: Path) -> Iterator[Path]:
    """Yields a scratch directory that becomes `path` when the block succeeds.

    An existing `path`, of whatever kind, is replaced: the two names are exchanged in one
    step. Where that cannot be, the old one is moved aside first, since rename cannot replace
    a directory that is not empty; if the process is killed then, `restore_replaced` helps.

    Args:
        path: Final directory name; its parent must exist.

    Yields:
        The scratch directory to fill.

    Raises:
        OSError: the disk is full or the parent is not writable.
    """
    scratch = temporary_sibling(path)
    scratch.mkdir()
    try:
        yield scratch
        fsync_tree(scratch)
        replaced = _put_in_place(scratch, path)
        fsync_directory(path.parent)
        if replaced is not None:
            remove_tree(replaced)
    except BaseException as error:
        _name_file(error, path)
        shutil.rmtree(scratch, ignore_errors=True)
        raise


def _put_in_place(scratch: Path, path: Path) -> Path | None:
    """Gives a directory its final name; returns where what had that name is now."""
    if not os.path.lexists(path):
        scratch.rename(path)
        return None
    if _exchange(scratch, path):
        return scratch
    aside = temporary_sibling(path)
    aside = aside.with_name(f"{aside.name}{_REPLACED_MARK}")
    path.rename(aside)
    scratch.rename(path)
    return aside


def _exchange(one: Path, other: Path) -> bool:
    """Swaps two names in one step; False where kernel or file system cannot (NFS, Lustre)."""
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if rename is None:
        return False
    names = (os.fsencode(one), os.fsencode(other))
    if rename(_HERE, names[0], _HERE, names[1], _RENAME_EXCHANGE) == 0:
        return True
    number = ctypes.get_errno()
    if number in (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM):
        return False
    raise OSError(number, os.strerror(number), str(other))


def restore_replaced(path: Path) -> bool:
    """Puts a directory back that a killed process had moved aside to replace it.

    That can only be so where names cannot be exchanged. A process that is just about to
    give its new directory the name finds it taken then.

    Args:
        path: Directory that is missing.

    Returns:
        Whether it is there again.
    """
    if os.path.lexists(path):
        return True
    moved = [
        sibling
        for sibling in path.parent.glob(f"{_temporary_prefix(path)}*{_REPLACED_MARK}")
        if sibling.is_dir()
    ]
    for sibling in sorted(moved, key=lambda one: one.stat().st_mtime, reverse=True):
        with contextlib.suppress(OSError):
            sibling.rename(path)
            return True
    return False


def remove_tree(path: Path) -> None:
    """Removes whatever has a name, directory or not; what cannot be removed stays."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
        return
    with contextlib.suppress(OSError):
        path.unlink()
