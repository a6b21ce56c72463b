"""What a database is known by, to journals and caches alike: sizes and contents.

Neither names nor times count: copied to a node's own disk it is the same database.
"""

import functools
import hashlib
import os
import re
from collections.abc import Iterable
from pathlib import Path

from af3opt.base.json_types import Json

# Databases up to this size are read whole. Of larger ones this many samples are read,
# spread over their files: another release has other sizes, and other bytes at each place.
_WHOLE_BYTES = 64 << 20
_SAMPLES = 16
_SAMPLE_BYTES = 64 << 10
_BLOCK_BYTES = 1 << 20
# More files than a run has databases, shards and programs.
_MOST_REMEMBERED = 4096
# `prefix@N.suffix` stands for N files, as the engine writes it; `@*` for all that are there.
_SHARDS = re.compile(r"(?P<prefix>[^?\],*]+)@(?P<count>\d{1,5}|\*)(?P<suffix>[._][^?\]@*/]*)?")

# Path, device, inode, size and times: it changes when a file is written to or replaced.
type FileState = tuple[str, int, int, int, int, int]


def database_files(spec: str) -> list[Path]:
    """Returns the files behind a database path: its shards, or the path itself.

    Args:
        spec: Path without `${DB_DIR}`; may be a shard spec such as `x.fasta@8`.
    """
    shards = _SHARDS.fullmatch(spec)
    if shards is None or Path(spec).exists():
        return [Path(spec)]
    prefix, count, suffix = shards["prefix"], shards["count"], shards["suffix"] or ""
    if count == "*":
        first = Path(f"{prefix}-00000-of-?????{suffix}")
        found = sorted(path.name for path in first.parent.glob(first.name))
        if not found:
            return [Path(spec)]
        start = len(first.name) - len(suffix) - 5
        count = found[-1][start : start + 5]
    return [
        Path(f"{prefix}-{index:05d}-of-{int(count):05d}{suffix}") for index in range(int(count))
    ]


def database_identity(spec: str) -> list[Json]:
    """What makes two databases the same, without reading all of a large one.

    Args:
        spec: File, sharded specification, or directory.

    Returns:
        For each file its size and a digest of its content or of samples of it; for a
        directory a digest of the names in it.

    Raises:
        OSError: a file is missing or cannot be read.
    """
    states = {path: _state(path) for path in database_files(spec)}
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
        OSError: it cannot be read.
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
    with path.open("rb") as stream:
        if not samples:
            while block := stream.read(_BLOCK_BYTES):
                digest.update(block)
        else:
            last = max(0, stream.seek(0, os.SEEK_END) - _SAMPLE_BYTES)
            for sample in range(samples):
                stream.seek(last * sample // (samples - 1))
                digest.update(stream.read(_SAMPLE_BYTES))
    return digest.hexdigest()[:32]
