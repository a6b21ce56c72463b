"""What is finished, written down where every process of a batch can see it.

    <output_dir>/.af3opt/jobs/<job>/claim-N                 see `claims.claim`
    <output_dir>/.af3opt/jobs/<job>/data-<digest>.json      MSAs and templates: being made, or done
    <output_dir>/.af3opt/jobs/<job>/<digest>/run.json       identity, directory and seeds of a run
    <output_dir>/.af3opt/jobs/<job>/<digest>/seed-S.json    seed S is done: its files and scores

It lies beside the job directories, not in them, so that these hold what upstream
writes. A record is written only after the files it vouches for are on disk.
"""

import dataclasses
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from af3opt.base.atomic import atomic_write_text
from af3opt.execution.job.identity import Identity, differences
from af3opt.execution.state_directory import jobs_directory
from af3opt.output.tree import JobTree, SampleScore

# Parts that follow from others: naming them as well would explain nothing.
_DERIVED_PARTS = frozenset({"resolved_input"})


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class DataRecord:
    """MSAs and templates of a job.

    Attributes:
        data_json: The input with them filled in.
        resolved: Digest of that input without its seeds.
        seeds: The seeds it was written with.
        parts: Parts of its identity.
    """

    data_json: Path
    resolved: str
    seeds: tuple[int, ...]
    parts: Mapping[str, Any]


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
    """The journal of one job; its runs have one each, see `RunJournal`."""

    def __init__(self, output_dir: Path, job_name: str) -> None:
        """Names the journal; nothing is written yet.

        Args:
            output_dir: Directory of the job directories.
            job_name: The job's sanitised name.
        """
        self.name = job_name
        self.output_dir = output_dir
        self.directory = jobs_directory(output_dir) / job_name

    def begin_data(self, identity: Identity, directory: Path) -> None:
        """Notes which directory a search for MSAs and templates will write to.

        Raises:
            OSError: the journal cannot be written.
        """
        content = {"directory": directory.name, "identity": dict(identity.parts), "done": False}
        _write_json(self._data_path(identity), content)

    def begun_data_directory(self, identity: Identity) -> Path | None:
        """The directory of a search that was begun and not finished, if it is still there."""
        return self._job_directory(_read_json(self._data_path(identity)))

    def finish_data(
        self, identity: Identity, data_json: Path, resolved: str, seeds: Sequence[int]
    ) -> DataRecord:
        """Notes that the input with MSAs and templates is on disk."""
        content = {
            "directory": data_json.parent.name,
            "identity": dict(identity.parts),
            "done": True,
            "size": _size(data_json),
            "resolved": resolved,
            "seeds": list(seeds),
        }
        _write_json(self._data_path(identity), content)
        return DataRecord(
            data_json=data_json, resolved=resolved, seeds=tuple(seeds), parts=identity.parts
        )

    def data_record(self, identity: Identity) -> DataRecord | None:
        """Returns the record of finished MSAs and templates if their file is whole."""
        return self._as_data_record(_read_json(self._data_path(identity)))

    def data_of_input(self, input_digest: str) -> DataRecord | None:
        """Returns finished MSAs and templates of an input, whatever databases they are from.

        For inference alone: its node need not have the databases. The newest counts.
        """
        paths = sorted(self.directory.glob("data-*.json"), key=_modified, reverse=True)
        for path in paths:
            record = self._as_data_record(_read_json(path))
            if record is not None and record.parts.get("input") == input_digest:
                return record
        return None

    def _data_path(self, identity: Identity) -> Path:
        return self.directory / f"data-{identity.digest}.json"

    def _as_data_record(self, content: Mapping[str, Any] | None) -> DataRecord | None:
        directory = self._job_directory(content)
        if content is None or directory is None or not content.get("done"):
            return None
        data_json = JobTree(directory, self.name).data_json
        try:
            record = DataRecord(
                data_json=data_json,
                resolved=str(content["resolved"]),
                seeds=tuple(map(int, content["seeds"])),
                parts=dict(content["identity"]),
            )
            return record if content["size"] == _size(data_json) else None
        except (KeyError, TypeError, ValueError):
            return None

    def run(self, identity: Identity) -> "RunJournal":
        """The journal of one run of the job."""
        return RunJournal(self, identity)

    def directory_is_taken(self, directory: Path) -> bool:
        """Tells whether a run of this job has begun to write to a directory."""
        contents = map(_read_json, self.directory.glob("*/run.json"))
        return any(content and content.get("directory") == directory.name for content in contents)

    def explain(self, parts: Mapping[str, Any]) -> list[str]:
        """Says what differs from each earlier run of this job.

        Args:
            parts: Parts of the identities of this run.
        """
        lines = []
        for path in sorted(self.directory.glob("*/run.json")):
            content = _read_json(path) or {}
            earlier = content.get("parts")
            if not isinstance(earlier, dict):
                continue
            found = differences(earlier, parts, _DERIVED_PARTS)
            if found:
                lines.append(f"the run in {content.get('directory')} differs: {'; '.join(found)}")
        return lines

    def _job_directory(self, content: Mapping[str, Any] | None) -> Path | None:
        """The directory a record names, if it exists."""
        name = content and content.get("directory")
        if not isinstance(name, str):
            return None
        path = self.output_dir / Path(name).name
        return path if path.is_dir() else None


class RunJournal:
    """The journal of a job's inference under one identity."""

    def __init__(self, job: JobJournal, identity: Identity) -> None:
        """Names the journal; nothing is written yet."""
        self._job = job
        self._identity = identity
        self._directory = job.directory / identity.digest

    def directory_in_use(self) -> Path | None:
        """The job directory that an earlier, equal run began, if it is still there."""
        return self._job._job_directory(_read_json(self._directory / "run.json"))

    def begin(self, directory: Path, seeds: Sequence[int], parts: Mapping[str, Any]) -> None:
        """Notes which directory this run writes to, and what for.

        Args:
            directory: The job's directory.
            seeds: All seeds of the run.
            parts: Parts of its identities, for `JobJournal.explain`.

        Raises:
            OSError: the journal cannot be written.
        """
        self._directory.mkdir(parents=True, exist_ok=True)
        content = {"directory": directory.name, "seeds": list(seeds), "parts": dict(parts)}
        path = self._directory / "run.json"
        if _read_json(path) != content:
            _write_json(path, content)

    def is_finished(self, seeds: Sequence[int]) -> bool:
        """Tells whether exactly these seeds are done and all their files are there."""
        content = _read_json(self._directory / "run.json")
        directory = self._job._job_directory(content)
        if content is None or directory is None or content.get("seeds") != list(seeds):
            return False
        if not JobTree(directory, self._job.name).ranking_csv.is_file():
            return False
        return all(self.seed_record(seed, directory) for seed in seeds)

    def seed_record(self, seed: int, directory: Path) -> SeedRecord | None:
        """Returns a seed's record if all its files are still there, whole; else None.

        Args:
            seed: The seed.
            directory: The job's directory.
        """
        record = read_seed_record(self._directory / f"seed-{seed}.json")
        if record is None:
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
            "seed": seed,
            "scores": [dataclasses.astuple(score) for score in scores],
            "files": files,
            "seconds": round(seconds, 3),
        }
        _write_json(self._directory / f"seed-{seed}.json", content)


def read_seed_record(path: Path) -> SeedRecord | None:
    """Reads a `seed-S.json`; None when it is missing or damaged."""
    content = _read_json(path)
    if content is None:
        return None
    try:
        return SeedRecord(
            seed=int(content["seed"]),
            scores=tuple(SampleScore(*score) for score in content["scores"]),
            files=dict(content["files"]),
            seconds=float(content["seconds"]),
        )
    except (KeyError, TypeError, ValueError):
        return None


def _size(path: Path) -> int:
    """Size in bytes, -1 when the file is missing."""
    try:
        return path.stat().st_size
    except OSError:
        return -1


def _modified(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _write_json(path: Path, content: Any) -> None:
    atomic_write_text(path, json.dumps(content, indent=1, sort_keys=True))


def _read_json(path: Path) -> dict[str, Any] | None:
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None
