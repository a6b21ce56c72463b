"""What tells two fold jobs apart: their JSON and the files that it points to."""

import hashlib
import json
from pathlib import Path

from af3opt.base.json_types import Json
from af3opt.inputs.reading import read_json


def canonical_json(value: Json) -> str:
    """JSON with sorted keys and no spare space: equal values give equal text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def input_digest(path: Path, position: int) -> str:
    """Digest of one fold job as it is on disk now; see `job_digest`.

    Args:
        path: Input file.
        position: Index among the fold jobs of the file.

    Raises:
        InputError: the file cannot be read.
    """
    content, _ = read_json(path)
    return job_digest(content[position] if isinstance(content, list) else content, path.parent)


def job_digest(entry: Json, base: Path) -> str:
    """Digest of one fold job as the user wrote it, with the files it points to.

    Args:
        entry: The job's JSON.
        base: Directory of its file, from which paths start.

    Returns:
        16 hex digits over the job's JSON and the contents of every file named by a
        field that ends in "Path" (external MSAs, templates, user CCD). Seeds count
        one by one, not here: adding a seed keeps the finished ones.
    """
    digest = hashlib.sha256()
    without_seeds = {key: value for key, value in entry.items() if key != "modelSeeds"}
    digest.update(canonical_json(without_seeds).encode())
    for file in external_files(entry, base):
        digest.update(hashlib.sha256(file.read_bytes()).digest() if file.is_file() else b"absent")
    return digest.hexdigest()[:16]


def external_files(entry: Json, base: Path) -> list[Path]:
    """The files that a fold job names, sorted by name; they need not exist.

    Args:
        entry: The job's JSON.
        base: Directory of its file, from which paths start.
    """
    return [base / name for name in sorted(_external_names(entry))]


def _external_names(value: Json) -> set[str]:
    found: set[str] = set()
    if isinstance(value, dict):
        for key, item in value.items():
            if key.endswith("Path") and isinstance(item, str):
                found.add(item)
            else:
                found |= _external_names(item)
    elif isinstance(value, list):
        for item in value:
            found |= _external_names(item)
    return found
