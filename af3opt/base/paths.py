"""Where af3opt keeps its own files, and how private they are.

Everything lives under one directory: `$AF3OPT_HOME`, else the platform's user
cache directory. Compiled programs are loaded from there and run as the user, so
directories are created for the owner alone and foreign ones are refused.
"""

import itertools
import os
from pathlib import Path

import platformdirs

from af3opt.base.errors import SetupError
from af3opt.base.ownership import directory_problem, directory_remedy


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
        SetupError: it cannot be created; or it, or a directory above it, belongs to
            another user or is writable by group or others.
    """
    try:
        make_private(path)
        problem = directory_problem(path)
    except OSError as error:
        raise SetupError(
            f"cannot create directory {path}: {error.strerror}; "
            "set AF3OPT_HOME to a directory you can write to"
        ) from error
    if problem:
        raise SetupError(f"{problem}; {_way_out(path)}a directory that only you can write to")
    return path


def check_home() -> None:
    """Refuses a home that somebody else could have filled: programs are loaded from it.

    Raises:
        SetupError: another user owns it, or can write to it or to a directory above it.
    """
    home = af3opt_home()
    try:
        problem = directory_problem(home)
    except FileNotFoundError:
        return
    except OSError as error:
        raise SetupError(f"AF3OPT_HOME={home}: {error.strerror}; set another") from error
    if problem:
        raise SetupError(
            f"AF3OPT_HOME={home}: {problem}; compiled programs are loaded from there: "
            f"{_way_out(home)}a directory that only you can write to"
        )


def _way_out(directory: Path) -> str:
    """What to do about a directory that is not safe, up to the other way."""
    remedy = directory_remedy(directory)
    return f"{remedy}, or use " if remedy else "use "
