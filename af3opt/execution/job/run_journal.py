"""The journal of a job's inference: what each finished seed wrote, and how it scored."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from af3opt.base.json_files import read_json, to_json
from af3opt.base.json_types import Json
from af3opt.execution.job.state_files import (
    JournalPlace,
    RunFile,
    file_size,
    named_directory,
    read_run_file,
    write_state,
)
from af3opt.inputs.digest import canonical_json
from af3opt.output.tree import (
    JobTree,
    SampleScore,
    best_sample,
    copies_of_best,
    ranking_text,
)


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


class RunJournal:
    """The journal of a job's inference under one identity.

    Attributes:
        directory: Where the records lie.
    """

    def __init__(
        self, place: JournalPlace, directory: Path, parts: Mapping[str, Json] | None = None
    ) -> None:
        """Names the journal; nothing is written yet.

        Args:
            place: Where the journals of the jobs of this name lie.
            directory: Where the records lie.
            parts: Parts of the run's identity; what has others is not believed.
        """
        self.directory = directory
        self._output_dir = place.output_dir
        self._name = place.name
        self._source = place.source
        self._parts = parts or {}
        self._wanted = canonical_json(self._parts)
        self._files = place.files

    def directory_in_use(self) -> Path | None:
        """The job directory that an earlier, equal run began, if it is still there."""
        return named_directory(self._output_dir, self._name, self._begun())

    def _begun(self) -> RunFile | None:
        """What an earlier, equal run has noted."""
        content = read_run_file(self.directory / "run.json")
        if content is None:
            return None
        parts = {name: content.parts.get(name) for name in self._parts}
        return content if canonical_json(parts) == self._wanted else None

    def begin(self, directory: Path, seeds: Sequence[int], parts: Mapping[str, Json]) -> None:
        """Notes which directory this run writes to, and what for.

        Args:
            directory: The job's directory.
            seeds: All seeds of the run.
            parts: Parts of its identities, for `JobJournal.explain`.

        Raises:
            OSError: the journal cannot be written.
        """
        self._files.check()
        self.directory.mkdir(parents=True, exist_ok=True)
        path = self.directory / "run.json"
        noted = read_run_file(path)
        # Of equal jobs from two sources it stays that of the first.
        first = noted.source if noted is not None and noted.seeds == tuple(seeds) else ""
        content = RunFile(
            directory=directory.name,
            seeds=tuple(seeds),
            parts=dict(parts),
            source=first or self._source,
        )
        if noted != content:
            write_state(path, content, self._files)

    def is_finished(self, seeds: Sequence[int]) -> bool:
        """Tells whether exactly these seeds are done and every file is there, as large as it was.

        That is: the input with its alignments, each seed's files, the table of ranking scores,
        and the best sample's files under the job's name.
        """
        content = self._begun()
        directory = named_directory(self._output_dir, self._name, content)
        if directory is None or content is None or content.seeds != tuple(seeds):
            return False
        records = []
        for seed in seeds:
            record = self.seed_record(seed, directory)
            if record is None:
                return False
            records.append(record)
        return self.is_complete(directory, records)

    def is_complete(self, directory: Path, records: Sequence[SeedRecord]) -> bool:
        """Tells whether the files that are of no single seed are there, and those of these seeds.

        Args:
            directory: The job's directory.
            records: Records of all seeds, in the order of the seeds.
        """
        tree = JobTree(directory, self._name)
        return tree.data_json.is_file() and _is_ranked(tree, records)

    def finished_seeds(self, seeds: Sequence[int], directory: Path) -> dict[int, SeedRecord]:
        """Returns the records of those seeds that are finished, in the order of the seeds.

        Only seeds that have a record are looked at: there may be a million without.

        Args:
            seeds: The seeds of the run.
            directory: The job's directory.
        """
        try:
            noted = {path.name for path in self.directory.iterdir()}
        except OSError:
            return {}
        found = {}
        for seed in seeds if noted else ():
            record = self.seed_record(seed, directory) if f"seed-{seed}.json" in noted else None
            if record is not None:
                found[seed] = record
        return found

    def seed_record(self, seed: int, directory: Path) -> SeedRecord | None:
        """Returns a seed's record if all its files are still there, whole; else None.

        Args:
            seed: The seed.
            directory: The job's directory.
        """
        record = read_seed_record(self.directory / f"seed-{seed}.json")
        if record is None or record.seed != seed:
            return None
        whole = all(file_size(directory / name) == size for name, size in record.files.items())
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
            path.relative_to(directory).as_posix(): file_size(path)
            for parent in written
            for path in sorted(parent.iterdir())
        }
        content = _SeedFile(
            seed=seed,
            scores=tuple((one.seed, one.sample, one.ranking_score) for one in scores),
            files=files,
            seconds=round(seconds, 3),
        )
        path = self.directory / f"seed-{seed}.json"
        self._files.text(path, to_json(content, sort=True).decode())


def _is_ranked(tree: JobTree, records: Sequence[SeedRecord]) -> bool:
    """Tells whether the files that depend on all seeds are those of these seeds."""
    scores = [score for record in records for score in record.scores]
    if not scores:
        return False
    try:
        if tree.ranking_csv.read_bytes() != ranking_text(scores).encode():
            return False
    except (OSError, ValueError):
        return False
    best = best_sample(scores)
    sizes = {
        tree.root / name: size
        for record in records
        if record.seed == best.seed
        for name, size in record.files.items()
    }
    copies = copies_of_best(tree, best, {path.name for path in sizes})
    return all(file_size(target) == sizes.get(origin) for origin, target in copies)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _SeedFile:
    """What a `seed-S.json` holds; a score is seed, sample and ranking score."""

    seed: int
    scores: tuple[tuple[int, int, float], ...]
    files: dict[str, int]
    seconds: float


def read_seed_record(path: Path) -> SeedRecord | None:
    """Reads a `seed-S.json`; None when it is missing or damaged."""
    content = read_json(path, _SeedFile)
    if content is None:
        return None
    return SeedRecord(
        seed=content.seed,
        scores=tuple(SampleScore(*score) for score in content.scores),
        files=content.files,
        seconds=content.seconds,
    )
