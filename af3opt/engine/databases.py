"""Which files the engine reads for a database path, told without importing the engine."""

import functools
import re
from pathlib import Path

from af3opt.base.errors import SetupError
from af3opt.engine.discovery import package_root

# `prefix@N.suffix` stands for N files; with `*` the name of the first shard says how many.
_SHARDS = re.compile(r"(?P<prefix>[^?\],*]+)@(?P<count>\d{1,5}|\*)(?P<suffix>[._][^?\]@*/]*)?")
_COUNT_DIGITS = 5
# The engine takes these paths as they are.
_NEVER_SHARDED = ("pdb_database_path", "seqres_database_path")


def database_files(path: str, flag: str) -> tuple[Path, ...]:
    """Returns the files behind a database path: its shards, or the path itself.

    A file that has the name of a shard specification is not read by the engine, so it does
    not count here either.

    Args:
        path: Path without `${DB_DIR}`; may be a shard specification: `PREFIX@20[.SUFFIX]` for
            PREFIX-00000-of-00020[.SUFFIX] and so on, or `PREFIX@*[.SUFFIX]` for as many as
            the first shard's name says, the highest number if there are several.
        flag: Setting that the path is from.

    Returns:
        The files, in the order of the shards; they need not exist.
    """
    shards = None if flag in _NEVER_SHARDED else _SHARDS.fullmatch(path)
    if shards is None or not engine_reads_shards():
        return (Path(path),)
    prefix, suffix = shards["prefix"], shards["suffix"] or ""
    fixed = shards["count"] != "*"
    count = int(shards["count"]) if fixed else _count_of_shards(prefix, suffix)
    return tuple(
        Path(f"{prefix}-{index:05d}-of-{count:05d}{suffix}") for index in range(count)
    ) or (Path(path),)


def _count_of_shards(prefix: str, suffix: str) -> int:
    """What the name of a first shard says; 0 where there is none."""
    first = Path(f"{prefix}-00000-of-?????{suffix}")
    start = len(prefix) + len("-00000-of-")
    for shard in sorted(map(str, first.parent.glob(first.name)), reverse=True):
        try:
            return int(shard[start : start + _COUNT_DIGITS])
        except ValueError:  # Another file: `x-00000-of-old00`.
            continue
    return 0


@functools.cache
def engine_reads_shards() -> bool:
    """Whether the installed engine knows sharded databases; without one, as the newest do."""
    try:
        return (package_root() / "data" / "tools" / "shards.py").is_file()
    except SetupError:
        return True
