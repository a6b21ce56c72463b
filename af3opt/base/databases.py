"""What a database is known by, to journals and caches alike: sizes and contents.

Neither names nor times count: copied to a node's own disk it is the same database.
"""

import functools
import hashlib
import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from af3opt.base.foreign_files import open_foreign
from af3opt.base.json_types import Json

# Databases up to this size are read whole. Of larger ones this many samples are read,
# spread over their files: another release has other sizes, and other bytes at each place.
_WHOLE_BYTES = 64 << 20
_SAMPLES = 16
_SAMPLE_BYTES = 64 << 10
_BLOCK_BYTES = 1 << 20
# More files than a run has databases, shards and programs.
_MOST_REMEMBERED = 4096

# Path, device, inode, size and times: it changes when a file is written to or replaced.
type FileState = tuple[str, int, int, int, int, int]


def database_identity(files: Sequence[Path]) -> list[Json]:
    """What makes two databases the same, without reading all of a large one.

    Args:
        files: The database's file, its shards, or its directory.

    Returns:
        For each file its size and a digest of its content or of samples of it; for a
        directory a digest of the names in it.

    Raises:
        OSError: a file is missing, cannot be read, or is a pipe or a device.
    """
    states = {path: _state(path) for path in files}
    whole = sum(size for _, _, _, size, *_ in states.values()) <= _WHOLE_BYTES
    samples = 0 if whole else max(2, _SAMPLES // len(states))
    return [
        {"names": _names(path, state)}
        if path.is_dir()
        else {"bytes": state[3], "content": _content(path, state, samples)}
        for path, state in states.items()
    ]


def program_identity(path: Path) -> str:
    """Digest of a program's file.

    Raises:
        OSError: it cannot be read, or is a pipe or a device.
    """
    return _content(path, _state(path), 0)


def states_of_files(paths: Iterable[Path]) -> tuple[FileState | None, ...]:
    """What tells whether files are touched between two looks in one process.

    Args:
        paths: Files or directories; those that are missing count as None.
    """
    found: list[FileState | None] = []
    for path in paths:
        try:
            found.append(_state(path))
        except (OSError, ValueError):  # A name that no file can have.
            found.append(None)
    return tuple(found)


def _state(path: Path) -> FileState:
    stat = path.stat()
    times = (stat.st_mtime_ns, stat.st_ctime_ns)
    return (str(path), stat.st_dev, stat.st_ino, stat.st_size, *times)


@functools.lru_cache(_MOST_REMEMBERED)
def _names(path: Path, _state: FileState) -> str:
    digest = hashlib.sha256()
    for name in sorted(os.listdir(path)):  # noqa: PTH208 - some 200,000: no paths of them
        digest.update(os.fsencode(name) + b"\0")
    return digest.hexdigest()[:32]


@functools.lru_cache(_MOST_REMEMBERED)
def _content(path: Path, _state: FileState, samples: int) -> str:
    """Digest of a file in this state: of all of it, or of some samples."""
    digest = hashlib.sha256()
    with open_foreign(path, sys.maxsize, follow_links=True) as stream:
        if not samples:
            while block := stream.read(_BLOCK_BYTES):
                digest.update(block)
        else:
            last = max(0, stream.seek(0, os.SEEK_END) - _SAMPLE_BYTES)
            for sample in range(samples):
                stream.seek(last * sample // (samples - 1))
                digest.update(stream.read(_SAMPLE_BYTES))
    return digest.hexdigest()[:32]
