"""Where af3opt keeps its own files of a batch, beside the job directories."""

from pathlib import Path

STATE_DIRECTORY = ".af3opt"
# The table of jobs that failed, in the output directory itself.
FAILED_FILE = "failed.json"


def jobs_directory(output_dir: Path) -> Path:
    """Where the journals and claims of a batch's jobs lie."""
    return output_dir / STATE_DIRECTORY / "jobs"


def searches_directory(output_dir: Path) -> Path:
    """Where processes lease the chains that they search."""
    return output_dir / STATE_DIRECTORY / "searches"
