"""Which files hold the inputs of a batch: those of a list, or of a directory."""

import logging
import os
import re
from collections.abc import Iterator
from pathlib import Path

from af3opt.base.errors import InputError
from af3opt.base.plain_text import text_lines, visible
from af3opt.execution.state_directory import FAILED_FILE, STATE_DIRECTORY, job_directories
from af3opt.output.tree import DATA_ENDING

_log = logging.getLogger(__name__)

_COMMENT = re.compile(r"(?:^|\s+)#")


def listed_files(path: Path) -> Iterator[Path]:
    """Yields the input files that a text file names, one a line.

    A `#` at the start of a line, or behind white space, starts a comment. A file whose own
    name has one there can be named all the same.

    Args:
        path: The list; relative names in it start from its own directory.

    Raises:
        InputError: the list cannot be read.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"--input_list={path}: cannot be read: {error}") from error
    if "\0" in text:
        raise InputError(f"--input_list={path}: holds a null character, so it is no list of files")
    lines = text_lines(text)
    for line in lines:
        name = line.strip()
        if _COMMENT.search(name) and not _is_there(path.parent / name):
            name = _COMMENT.split(name, maxsplit=1)[0]
        if name:
            yield path.parent / name


def _is_there(path: Path) -> bool:
    """Tells whether a path is there; a long comment is longer than a name can be."""
    try:
        return path.exists()
    except OSError:
        return False


def input_files(
    directory: Path,
    *,
    recursive: bool,
    left_out: list[Path],
    above: frozenset[tuple[int, int]] = frozenset(),
) -> Iterator[Path]:
    """Yields the JSON files of a directory, sorted as upstream does.

    It may be the output directory of a batch as well: what af3opt has written there, its
    list of failures and the directories of jobs, is left out.

    Args:
        directory: Directory given as `--input_dir`.
        recursive: Also look in directories below it.
        left_out: Gets the directories of jobs that are passed over.
        above: Device and inode of the directories above. A link to one of them is not
            followed; two such links would name every file without end.

    Raises:
        InputError: the directory cannot be read.
    """
    try:
        status = directory.stat()
        if (status.st_dev, status.st_ino) in above:
            return
        above |= {(status.st_dev, status.st_ino)}
        entries = sorted(os.scandir(directory), key=lambda entry: entry.name)
    except OSError as error:
        raise InputError(f"--input_dir={directory}: cannot be read: {error.strerror}") from error
    others = [entry.name for entry in entries if _is_almost_json(entry.name)]
    if others:
        _log.warning(
            "--input_dir=%s: files that end in .JSON, not in .json, are left out: %d (%s%s)",
            *(visible(str(directory)), len(others), visible(others[0])),
            ", ..." if len(others) > 1 else "",
        )
    has_outputs = any(entry.name == STATE_DIRECTORY for entry in entries)
    noted = job_directories(directory) if has_outputs and recursive else frozenset()
    for entry in entries:
        path = Path(entry.path)
        if entry.name.endswith(".json") and _is_to_be_read(entry):
            if not (has_outputs and entry.name == FAILED_FILE):
                yield path
        elif not recursive or not path.is_dir() or entry.name == STATE_DIRECTORY:
            continue
        elif entry.name in noted or (has_outputs and _holds_one_job(path)):
            left_out.append(path)
        else:
            yield from input_files(path, recursive=True, left_out=left_out, above=above)


def _is_almost_json(name: str) -> bool:
    """Whether a name ends in .json but for upper case, which upstream passes over as well."""
    return name.lower().endswith(".json") and not name.endswith(".json")


def _is_to_be_read(entry: os.DirEntry[str]) -> bool:
    """Tells whether an entry is a file, or cannot be looked at: reading it says why.

    A link to a file that is gone is a job that cannot be done. Editors lock a file by a hidden
    link to nothing.
    """
    try:
        if entry.is_symlink() and not Path(entry.path).exists():
            return not entry.name.startswith(".")
        return entry.is_file()
    except OSError:
        return True


def _holds_one_job(directory: Path) -> bool:
    """Tells whether a directory looks like a job's: without resume there is no journal of it."""
    files = [path.name for path in directory.glob("*.json")]
    names = (file.removesuffix(DATA_ENDING) for file in files if file.endswith(DATA_ENDING))
    return any(
        f"{directory.name}_".startswith(f"{name}_")
        and all(file.startswith(f"{name}_") for file in files)
        for name in names
    )
