"""Where a component dictionary came from, and whether a file is still that one."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

from af3opt.base.json_types import Json, JsonObject

_CHUNK = 1 << 20


def describe_file(kind: str, path: Path) -> JsonObject:
    """Describes a source file by content; size and time allow a quick check later.

    Args:
        kind: What the file is: "engine pickle", "wwPDB mmCIF".
        path: The file.
    """
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
    status = path.stat()
    return {
        "kind": kind,
        "path": str(path.resolve()),
        "size": status.st_size,
        "mtime_ns": status.st_mtime_ns,
        "sha256": digest.hexdigest(),
    }


def describe_file_again(
    kind: str, path: Path, known: Mapping[str, Json] | None
) -> Mapping[str, Json]:
    """Like `describe_file`, without reading a file that is still as `known` says.

    Args:
        kind: As for `describe_file`.
        path: The file.
        known: An earlier description of some file, or None.
    """
    if known is not None and known.get("kind") == kind and _untouched(known, path):
        return known
    return describe_file(kind, path)


def _untouched(source: Mapping[str, Json], path: Path) -> bool:
    """Tells whether size, modification time and place are as they were."""
    status = path.stat()
    recorded = (source.get("path"), source.get("size"), source.get("mtime_ns"))
    return recorded == (str(path.resolve()), status.st_size, status.st_mtime_ns)


def same_file(source: Mapping[str, Json], path: Path) -> bool:
    """Tells whether `source` was made from `path` as it is now.

    An untouched file is taken at its word; one that was only touched or copied
    is recognised by its digest.
    """
    if "sha256" not in source:
        return False
    if _untouched(source, path):
        return True
    if path.stat().st_size != source["size"]:
        return False
    return bool(describe_file(source["kind"], path)["sha256"] == source["sha256"])
