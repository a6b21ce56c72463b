"""Directories that several processes may want to build at the same time."""

import errno
import logging
import shutil
import time
from collections.abc import Callable
from pathlib import Path

from af3opt.base.atomic import atomic_directory, is_temporary
from af3opt.base.errors import SetupError

_log = logging.getLogger(__name__)

# What rename answers when another process has put its directory there first.
_OVERTAKEN = {errno.EEXIST, errno.ENOTEMPTY, errno.ENOENT}
_WAIT_SECONDS = 5.0
_POLL_SECONDS = 0.05
# Far longer than any build takes, so that a running one is never swept away.
_LEFTOVER_SECONDS = 6 * 3600


def build_directory[Build](
    folder: Path, fill: Callable[[Path], None], read: Callable[[Path], Build | None]
) -> Build:
    """Fills a directory, puts it in place, all or nothing, and reads it.

    No locks, which network file systems do not all honour: every process fills
    a directory of its own, the first to finish puts it in place, and the others
    take that one.

    Args:
        folder: Final name; its parent must exist. What is in it is for its owner alone.
        fill: Writes the files into the scratch directory it is given.
        read: Reads a finished build; None when `folder` does not hold one.

    Returns:
        What `read` made of the build that is in place, this process's or another's.

    Raises:
        SetupError: it cannot be written, or was removed at once.
    """
    _remove_leftovers(folder.parent)
    try:
        with atomic_directory(folder) as scratch:
            fill(scratch)
            _make_private(scratch)
    except OSError as error:
        if error.errno in _OVERTAKEN:
            build = _read_when_there(folder, read)
            if build is not None:
                _log.info("Another process has just built %s; using that", folder)
                return build
        raise SetupError(
            f"cannot write {folder}: {error.strerror or error}; free some space or set AF3OPT_HOME "
            "to another directory"
        ) from error
    # Another process may be putting its own build in this one's place.
    build = _read_when_there(folder, read)
    if build is None:
        raise SetupError(f"{folder} was removed while it was built; run `af3opt prepare` again")
    return build


def _make_private(folder: Path) -> None:
    """Takes everybody else's permissions away: what others could write to is refused when read."""
    for path in (folder, *folder.rglob("*")):
        path.chmod(path.stat().st_mode & 0o700)


def _read_when_there[Build](folder: Path, read: Callable[[Path], Build | None]) -> Build | None:
    """Waits for the moment between another process's two renames to pass."""
    deadline = time.monotonic() + _WAIT_SECONDS
    while (build := read(folder)) is None and time.monotonic() < deadline:
        time.sleep(_POLL_SECONDS)
    return build


def _remove_leftovers(parent: Path) -> None:
    """Deletes what builds killed hours ago have left."""
    limit = time.time() - _LEFTOVER_SECONDS
    for path in parent.iterdir():
        if is_temporary(path) and path.lstat().st_mtime < limit:
            shutil.rmtree(path, ignore_errors=True)
