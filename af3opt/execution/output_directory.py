"""Whether the output directory can be written: before a batch, and when something fails in it."""

import errno
import os
from pathlib import Path

from af3opt.base.atomic import temporary_sibling
from af3opt.base.errors import Af3optError, SetupError
from af3opt.execution.failure import error_text
from af3opt.execution.state_directory import STATE_DIRECTORY

# What makes every further job of the batch fail as well.
_FATAL_ERRNOS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.ESTALE})


class OutputLostError(Af3optError):
    """Nothing more can be written to the output directory."""


def check_can_be_made(path: Path) -> None:
    """Finds what would keep a directory from being made, without making it.

    Raises:
        SetupError: something else has its name, or it may not be written.
    """
    existing = next(
        parent for parent in (path.absolute(), *path.absolute().parents) if parent.exists()
    )
    if not existing.is_dir():
        raise SetupError(f"--output_dir={path}: {existing} is not a directory")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise SetupError(f"--output_dir={path}: cannot write there: no permission in {existing}")


def make_output_directory(path: Path) -> None:
    """Makes the directory of a batch.

    Raises:
        SetupError: it cannot be made or written.
    """
    state = path / STATE_DIRECTORY
    try:
        state.mkdir(parents=True, exist_ok=True)
        probe = temporary_sibling(state / "probe")
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise SetupError(f"--output_dir={path}: cannot write there: {error.strerror}") from error


def raise_if_lost(path: Path, error: Exception) -> None:
    """Tells a job's own failure from one that every further job would meet as well.

    Args:
        path: The output directory, which has been made.
        error: What a job failed with.

    Raises:
        OutputLostError: the directory has vanished, is full or cannot be written.
    """
    if path.is_dir() and not (isinstance(error, OSError) and _is_fatal(path, error)):
        return
    reason = error_text(error) if path.is_dir() else "the directory is gone"
    raise OutputLostError(
        f"--output_dir={path}: {reason}; finished seeds are kept, "
        "run the same command again once it can be written"
    ) from error


def _is_fatal(path: Path, error: OSError) -> bool:
    """A full disk elsewhere, such as that of temporary files, is the job's own failure."""
    if error.errno not in _FATAL_ERRNOS:
        return False
    named = error.filename
    return not isinstance(named, str) or Path(named).absolute().is_relative_to(path.absolute())
