"""What is finished, written down where every process of a batch can see it.

    <output_dir>/.af3opt/<job>/<run>/run.json       identity, and the directory in use
    <output_dir>/.af3opt/<job>/<run>/data.json      the data pipeline is done
    <output_dir>/.af3opt/<job>/<run>/seed-S.json    seed S is done: its files and scores
    <output_dir>/.af3opt/<job>/<run>/failed.json    why the job cannot be done
    <output_dir>/.af3opt/<job>/claim-N              see `claims`

It lies beside the job directories, not in them, so that these hold what upstream
writes. A record is written only after the files it vouches for are on disk.
"""

import dataclasses
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from af3opt.execution.identity import Identity
from af3opt.output.atomic import atomic_write_text
from af3opt.output.tree import SampleScore

JOURNAL_DIRECTORY = ".af3opt"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SeedRecord:
    """A finished seed.

    Attributes:
        seed: The seed.
        scores: One for each sample that takes part in the ranking.
        files: Path relative to the job's directory -> size in bytes.
        seconds: Time the seed took, featurisation to writing.
    """

    seed: int
    scores: tuple[SampleScore, ...]
    files: dict[str, int]
    seconds: float


class JobJournal:
    """The journal of one job under one identity."""

    def __init__(self, output_dir: Path, job_name: str, identity: Identity) -> None:
        self.job_directory = output_dir / JOURNAL_DIRECTORY / job_name
        self._output_dir = output_dir
        self._identity = identity
        self._directory = self.job_directory / identity.digest

    def directory_in_use(self) -> Path | None:
        """The job directory that an earlier, equal run began, if it is still there."""
        content = _read_json(self._directory / "run.json")
        if content is None or not isinstance(content.get("directory"), str):
            return None
        path = self._output_dir / Path(content["directory"]).name
        return path if path.is_dir() else None

    def begin(self, directory: Path) -> None:
        """Notes which directory this run writes to.

        Raises:
            OSError: the journal cannot be written.
        """
        self._directory.mkdir(parents=True, exist_ok=True)
        content = {"directory": directory.name, "identity": dict(self._identity.parts)}
        _write_json(self._directory / "run.json", content)

    def data_done(self, data_json: Path) -> bool:
        """Tells whether the data pipeline's result is on disk as it was written."""
        content = _read_json(self._directory / "data.json")
        return content is not None and content.get("size") == _size(data_json)

    def finish_data(self, data_json: Path) -> None:
        """Notes that the data pipeline's result is on disk."""
        _write_json(self._directory / "data.json", {"size": _size(data_json)})

    def seed_record(self, seed: int, directory: Path) -> SeedRecord | None:
        """Returns a seed's record if all its files are still there, whole; else None.

        Args:
            seed: The seed.
            directory: The job's directory.
        """
        content = _read_json(self._directory / f"seed-{seed}.json")
        if content is None:
            return None
        try:
            record = SeedRecord(
                seed=seed,
                scores=tuple(SampleScore(*score) for score in content["scores"]),
                files=dict(content["files"]),
                seconds=float(content["seconds"]),
            )
        except (KeyError, TypeError, ValueError):
            return None
        whole = all(_size(directory / name) == size for name, size in record.files.items())
        return record if whole else None

    def finish_seed(
        self,
        seed: int,
        directory: Path,
        written: Iterable[Path],
        scores: Iterable[SampleScore],
        seconds: float,
    ) -> None:
        """Notes that a seed's files are complete on disk.

        Args:
            seed: The seed.
            directory: The job's directory.
            written: The seed's directories.
            scores: Its ranked samples.
            seconds: Time it took.
        """
        files = {
            path.relative_to(directory).as_posix(): _size(path)
            for parent in written
            for path in sorted(parent.iterdir())
        }
        content = {
            "scores": [dataclasses.astuple(score) for score in scores],
            "files": files,
            "seconds": round(seconds, 3),
        }
        _write_json(self._directory / f"seed-{seed}.json", content)

    def fail(self, reason: str) -> None:
        """Notes why the job cannot be done."""
        self._directory.mkdir(parents=True, exist_ok=True)
        _write_json(self._directory / "failed.json", {"reason": reason})

    def forget_failure(self) -> None:
        """Removes an earlier failure, since the job is tried again."""
        (self._directory / "failed.json").unlink(missing_ok=True)

    def explain(self) -> list[str]:
        """Says what differs from each earlier run of this job under another identity."""
        lines = []
        for path in sorted(self.job_directory.glob("*/run.json")):
            content = _read_json(path)
            if path.parent == self._directory or content is None:
                continue
            differences = self._identity.differences(content.get("identity", {}))
            lines.append(f"{content.get('directory')}: {'; '.join(differences)}")
        return lines


def _size(path: Path) -> int:
    """Size in bytes, -1 when the file is missing."""
    try:
        return path.stat().st_size
    except OSError:
        return -1


def _write_json(path: Path, content: Any) -> None:
    atomic_write_text(path, json.dumps(content, indent=1, sort_keys=True))


def _read_json(path: Path) -> dict[str, Any] | None:
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None
