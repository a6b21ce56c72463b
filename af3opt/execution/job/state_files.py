"""The files of the journals: their records, read with suspicion and written atomically."""

import dataclasses
import hashlib
from pathlib import Path

from af3opt.base.json_files import read_json, to_json
from af3opt.base.json_types import Json
from af3opt.base.key import text_digest
from af3opt.execution.state_directory import jobs_directory
from af3opt.output.checked_files import CheckedFiles

# A million seeds of a run take a tenth of it.
_MOST_BYTES = 100_000_000


@dataclasses.dataclass(frozen=True, slots=True)
class JournalPlace:
    """Where the journals of the jobs of one name lie, and how they are written.

    Attributes:
        output_dir: Directory of the job directories.
        name: The jobs' sanitised name.
        source: Digest of the place of the job's input.
        files: Writes the records.
    """

    output_dir: Path
    name: str
    source: str
    files: CheckedFiles

    @property
    def directory(self) -> Path:
        """Where the records lie."""
        return jobs_directory(self.output_dir) / self.name


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class DataFile:
    """What a `data-<digest>-<source>.json` holds.

    Attributes:
        directory: Name of the job's directory.
        identity: Parts of the identity of its MSAs and templates.
        source: Digest of the place of the job's input; "" in records of older releases.
        done: Whether the input with them filled in is on disk. What follows is known then.
        size: That input's size in bytes.
        modified: Time of its last change in nanoseconds.
        digest: SHA-256 of it; "" in records of older releases.
        resolved: Digest of what it says, without its seeds.
        seeds: The seeds it was written with.
    """

    directory: str = ""
    identity: dict[str, Json] = dataclasses.field(default_factory=dict)
    source: str = ""
    done: bool = False
    size: int = -1
    modified: int = 0
    digest: str = ""
    resolved: str = ""
    seeds: tuple[int, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RunFile:
    """What a `run.json` holds.

    Attributes:
        directory: Name of the job's directory.
        seeds: All seeds of the run.
        parts: Parts of its identities.
        source: Digest of the place of the job's input; "" in records of older releases.
    """

    directory: str = ""
    seeds: tuple[int, ...]
    parts: dict[str, Json] = dataclasses.field(default_factory=dict)
    source: str = ""


def source_digest(path: Path, position: int) -> str:
    """Digest of the place of a job's input.

    Args:
        path: Input file.
        position: Index among the fold jobs of the file.
    """
    return text_digest(f"{path.absolute()}#{position}")


def read_data_file(path: Path) -> DataFile | None:
    """Reads a `data-<digest>-<source>.json`; None when it is missing or damaged."""
    return read_json(path, DataFile, most_bytes=_MOST_BYTES)


def read_run_file(path: Path) -> RunFile | None:
    """Reads a `run.json`; None when it is missing or damaged."""
    return read_json(path, RunFile, most_bytes=_MOST_BYTES)


def write_state(path: Path, content: DataFile | RunFile, files: CheckedFiles) -> None:
    """Writes a record.

    Raises:
        OSError: it cannot be written.
    """
    files.text(path, to_json(content, sort=True).decode())


def named_directory(
    output_dir: Path, job_name: str, content: DataFile | RunFile | None
) -> Path | None:
    """The directory that a record names, if it exists and can be one of that job's.

    Args:
        output_dir: Directory of the job directories.
        job_name: The job's sanitised name.
        content: The record.
    """
    name = content.directory if content is not None else ""
    if not name or "/" in name or "\0" in name:
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
