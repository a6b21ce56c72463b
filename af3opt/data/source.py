"""Where a component dictionary came from, and whether a file is still that one."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_CHUNK = 1 << 20


def describe_file(kind: str, path: Path) -> dict[str, Any]:
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


def same_file(source: Mapping[str, Any], path: Path) -> bool:
    """Tells whether `source` was made from `path` as it is now.

    Size and modification time decide when they agree; a file that was only
    touched or copied is recognised by its digest.
    """
    if "sha256" not in source:
        return False
    status = path.stat()
    if status.st_size != source["size"]:
        return False
    if status.st_mtime_ns == source["mtime_ns"] and str(path.resolve()) == source["path"]:
        return True
    return bool(describe_file(source["kind"], path)["sha256"] == source["sha256"])
