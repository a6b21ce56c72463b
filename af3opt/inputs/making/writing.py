"""Writing the jobs that were made: all of them or none."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from af3opt.base.atomic import atomic_write_text
from af3opt.base.errors import SetupError, UsageError
from af3opt.inputs.making.plan import MadeJob

# AlphaFold Server takes so many jobs in one upload.
_SERVER_JOBS = 100
_MOST_NAMED = 3


def file_texts(jobs: Sequence[MadeJob], *, server: bool) -> dict[str, str]:
    """Returns the files to write: name -> content.

    Args:
        jobs: The jobs.
        server: Whether they are in AlphaFold Server's dialect, which has lists.
    """
    if not server:
        return {f"{job.name}.json": _text(job.content) for job in jobs}
    return {
        f"server_jobs_{start // _SERVER_JOBS + 1:03d}.json": _text(
            [job.content for job in jobs[start : start + _SERVER_JOBS]]
        )
        for start in range(0, len(jobs), _SERVER_JOBS)
    }


def _text(content: object) -> str:
    return json.dumps(content, indent=2) + "\n"


def write_files(directory: Path, texts: Mapping[str, str], *, overwrite: bool) -> int:
    """Writes files, unless one of them would replace another content.

    Args:
        directory: Where; it is made if it is not there.
        texts: Name -> content.
        overwrite: Replace what is there.

    Returns:
        How many were there already with this content.

    Raises:
        UsageError: files would be replaced; nothing was written.
        SetupError: the directory cannot be written.
    """
    try:
        present = {name: _read(directory / name) for name in texts if (directory / name).exists()}
        others = sorted(name for name, text in present.items() if text != texts[name])
        if others and not overwrite:
            more = f" and {len(others) - _MOST_NAMED} more" if len(others) > _MOST_NAMED else ""
            raise UsageError(
                f"--output_dir={directory}: {', '.join(others[:_MOST_NAMED])}{more} would be "
                "replaced; nothing was written; give another directory, or add --overwrite"
            )
        directory.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            if present.get(name) != text:
                atomic_write_text(directory / name, text)
    except OSError as error:
        raise SetupError(
            f"--output_dir={directory}: cannot be written: {error.strerror or error}"
        ) from error
    return len(present) - len(others)


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return None


def foreign_inputs(directory: Path, texts: Mapping[str, str]) -> int:
    """Counts the other JSON files of a directory: a run of it would fold them as well."""
    if not directory.is_dir():
        return 0
    return sum(path.name not in texts for path in directory.glob("*.json"))
