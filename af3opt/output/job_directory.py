"""A directory of its own for every job, by upstream's rule, whoever else asks at that moment.

Upstream takes `<name>`, or `<name>_<YYYYMMDD_HHMMSS>` where that holds something. Looking
first and writing later gives two jobs one directory, and so does a stamp of whole seconds.
So a directory that holds a mark is renamed to the name: that succeeds for one process only,
and only where there is nothing, or an empty directory. The mark stays until the job has
written its first file.
"""

import contextlib
import datetime
import errno
import itertools
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from af3opt.base.atomic import is_own_temporary, is_temporary_of, temporary_sibling

_TAKEN = frozenset({errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR, errno.EISDIR})
# Which processes may remove a mark whose owner was killed: those that hold the job's claim.
_CLAIMED, _ALONE = "claimed", "alone"


def make_job_directory(
    root: Path,
    now: datetime.datetime,
    workspace: Path,
    is_anothers: Callable[[Path], bool] | None = None,
) -> Path:
    """Makes the directory that a job writes to.

    Args:
        root: The directory that the job's name gives.
        now: Time for the stamp.
        workspace: An existing directory of af3opt's own on the same file system.
        is_anothers: For a caller that holds a claim on all jobs of this name: tells
            whether another one of them has begun to use a directory. A mark of a process
            with a claim is that of a dead one then.

    Returns:
        `root`, or `<root>_<YYYYMMDD_HHMMSS>` where that holds something, or the same with
        a number where that does, too. Nobody else has been or will be given it.

    Raises:
        OSError: it cannot be made.
    """
    for path in _candidates(root, now):
        if is_anothers is None:
            taken = _take(path, workspace, _ALONE)
        elif is_anothers(path):
            continue
        else:
            _remove_marks_of_the_dead(path)
            taken = _take(path, workspace, _CLAIMED)
        if taken:
            return path
    raise AssertionError("there is always another number")


def make_stamped_directory(root: Path, now: datetime.datetime) -> Path:
    """Makes `<root>_<YYYYMMDD_HHMMSS>`, with a number where that is taken.

    Raises:
        OSError: it cannot be made.
    """
    for path in itertools.islice(_candidates(root, now), 1, None):
        with contextlib.suppress(FileExistsError):
            path.mkdir()
            return path
    raise AssertionError("there is always another number")


def remove_marks(directory: Path) -> None:
    """Removes this process's mark, once something else shows that the directory is in use."""
    with contextlib.suppress(OSError):
        for path in list(directory.iterdir()):
            if is_own_temporary(path) and (_is_mark(path, _CLAIMED) or _is_mark(path, _ALONE)):
                path.unlink(missing_ok=True)


def _is_mark(path: Path, mark: str) -> bool:
    return is_temporary_of(path, path.with_name(mark))


def _candidates(root: Path, now: datetime.datetime) -> Iterator[Path]:
    yield root
    stamped = f"{root.name}_{now.strftime('%Y%m%d_%H%M%S')}"
    yield root.with_name(stamped)
    for number in itertools.count(2):
        yield root.with_name(f"{stamped}_{number}")


def _take(path: Path, workspace: Path, mark: str) -> bool:
    scratch = temporary_sibling(workspace / "directory")
    scratch.mkdir()
    try:
        temporary_sibling(scratch / mark).touch(exist_ok=False)
        scratch.rename(path)
    except OSError as error:
        if error.errno not in _TAKEN:
            raise
        return False
    finally:
        # Gone by now, unless it could not be renamed.
        shutil.rmtree(scratch, ignore_errors=True)
    return True


def _remove_marks_of_the_dead(path: Path) -> None:
    with contextlib.suppress(OSError):
        found = list(path.iterdir())
        if all(_is_mark(one, _CLAIMED) for one in found):
            for mark in found:
                mark.unlink(missing_ok=True)
