"""Where af3opt keeps its own files, and how private they are.

Everything lives under one directory: `$AF3OPT_HOME`, else the platform's user
cache directory. Compiled programs are loaded from there and run as the user, so
directories are created for the owner alone and foreign ones are refused.
"""

import itertools
import os
import stat
from pathlib import Path

import platformdirs

from af3opt.base.errors import SetupError


def af3opt_home() -> Path:
    """Returns the root of everything af3opt keeps between runs (not created)."""
    override = os.environ.get("AF3OPT_HOME")
    if override:
        return Path(override).expanduser().absolute()
    return Path(platformdirs.user_cache_dir("af3opt", appauthor=False))


def make_private(path: Path) -> None:
    """Creates a directory, and those above it that are missing, for this user alone.

    Whatever the umask: under one that lets the group write, everything made there
    would have to be refused later.

    Raises:
        OSError: one of them cannot be created.
    """
    missing = itertools.takewhile(lambda folder: not folder.exists(), (path, *path.parents))
    for folder in reversed(list(missing)):
        folder.mkdir(mode=0o700, exist_ok=True)


def private_directory(path: Path) -> Path:
    """Creates `path` for this user alone and checks that nobody else can write to it.

    Args:
        path: Directory to create; parents that are missing are as private.

    Returns:
        `path`.

    Raises:
        SetupError: it cannot be created, belongs to another user, or is writable
            by group or others.
    """
    try:
        make_private(path)
        status = path.stat()
    except OSError as error:
        raise SetupError(
            f"cannot create directory {path}: {error.strerror}; "
            "set AF3OPT_HOME to a directory you can write to"
        ) from error
    problem = trust_problem(status)
    if problem:
        raise SetupError(f"{path} {problem}; use a directory that only you can write to")
    return path


def trust_problem(status: os.stat_result) -> str | None:
    """Says why a file or directory must not be trusted, or None when it may be.

    Args:
        status: `os.stat` result of the path itself.

    Returns:
        A clause such as "belongs to user id 1234", or None.
    """
    if status.st_uid not in (os.geteuid(), 0):
        return f"belongs to user id {status.st_uid}"
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return f"is writable by others (mode {stat.S_IMODE(status.st_mode):03o})"
    return None
