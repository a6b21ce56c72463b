"""Where af3opt keeps its own files of a batch, beside the job directories."""

import dataclasses
from pathlib import Path

from af3opt.base.json_files import read_json

STATE_DIRECTORY = ".af3opt"
# The table of jobs that failed, in the output directory itself.
FAILED_FILE = "failed.json"


def jobs_directory(output_dir: Path) -> Path:
    """Where the journals and claims of a batch's jobs lie."""
    return output_dir / STATE_DIRECTORY / "jobs"


@dataclasses.dataclass(frozen=True, slots=True)
class _Record:
    """What every record of a job says."""

    directory: str = ""


def job_directories(output_dir: Path) -> frozenset[str]:
    """Names of the directories that jobs of a batch write to, as their journals say."""
    jobs = jobs_directory(output_dir)
    paths = [*jobs.glob("*/data-*.json"), *jobs.glob("*/*/run.json")]
    records = (read_json(path, _Record) for path in paths)
    return frozenset(record.directory for record in records if record is not None)


def searches_directory(output_dir: Path) -> Path:
    """Where processes lease the chains that they search."""
    return output_dir / STATE_DIRECTORY / "searches"
