"""Small JSON files of af3opt's own beside the results: read with suspicion, written atomically."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

from af3opt.base.json_files import read_json, to_json
from af3opt.base.json_types import Json, JsonObject
from af3opt.output.checked_files import CheckedFiles

# A million seeds of a run take a tenth of it.
_MOST_BYTES = 100_000_000


def read_object(path: Path) -> JsonObject | None:
    """Returns the object in a JSON file; None when it is missing or damaged."""
    return read_json(path, dict[str, Json], most_bytes=_MOST_BYTES)


def write_object(path: Path, content: Mapping[str, Json], files: CheckedFiles) -> None:
    """Writes an object as JSON.

    Raises:
        OSError: it cannot be written.
    """
    files.text(path, to_json(content, sort=True).decode())


def named_directory(
    output_dir: Path, job_name: str, content: Mapping[str, Json] | None
) -> Path | None:
    """The directory that a record names, if it exists and can be one of that job's.

    Args:
        output_dir: Directory of the job directories.
        job_name: The job's sanitised name.
        content: The record.
    """
    name = content and content.get("directory")
    if not isinstance(name, str) or "/" in name or "\0" in name:
        return None
    if name != job_name and not name.startswith(f"{job_name}_"):
        return None
    path = output_dir / name
    return path if path.is_dir() else None


def file_size(path: Path) -> int:
    """Size in bytes, -1 when the file is missing."""
    try:
        return path.stat().st_size
    except (OSError, ValueError):
        return -1


def file_digest(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
