"""The scores of all samples of a batch, gathered from its files."""

import concurrent.futures
import dataclasses
from collections.abc import Sequence
from pathlib import Path

from af3opt.base.json_files import read_json
from af3opt.base.spawning import spawn_context
from af3opt.scores.interface import FORMULAS, InterfaceScores
from af3opt.scores.reading.confidences import Scores, read_ranking, read_scores
from af3opt.scores.reading.files import UnreadableFileError
from af3opt.scores.reading.layout import (
    JobFiles,
    SampleFiles,
    find_job_directories,
    find_job_files,
    is_job_directory,
    left_out,
)
from af3opt.scores.samples import sample_files_digest, sample_scores

# Fewer samples are scored before other processes have started.
_WORTH_PROCESSES = 40
# Larger files are read one at a time: a matrix of 3,000 tokens needs half a gigabyte.
_LARGE_BYTES = 32 << 20


@dataclasses.dataclass(slots=True)
class CollectedSample:
    """What the files of one sample say.

    Attributes:
        job: The job's name as in file names.
        directory: Name of the job's directory.
        seed: Its seed.
        sample: Its number.
        ranking_score: From the ranking table, else from the summary.
        best: Whether it has the highest ranking score of its job.
        summary: Summary scores; all None when the file is missing.
        files: Its files; None when only the ranking table knows of it.
        interfaces: Scores of its interfaces; None when nobody computed them yet.
        problem: Why its interfaces cannot be scored, or "".
    """

    job: str
    directory: str
    seed: int
    sample: int
    ranking_score: float
    best: bool = False
    summary: Scores = dataclasses.field(default_factory=Scores)
    files: SampleFiles | None = None
    interfaces: InterfaceScores | None = None
    problem: str = ""

    @property
    def can_be_scored(self) -> bool:
        """Whether its interfaces are not scored yet and there is a structure to score."""
        has_structure = self.files is not None and self.files.structure is not None
        return has_structure and self.interfaces is None and not self.problem


@dataclasses.dataclass(frozen=True)
class _RecordedSample:
    index: int
    interface_scores: InterfaceScores | None = None


@dataclasses.dataclass(frozen=True)
class _RecordedSeed:
    seed: int
    samples: tuple[_RecordedSample, ...] = ()


@dataclasses.dataclass(frozen=True)
class _RecordedScores:
    """What is needed of a run record, of any version that has it."""

    seeds: tuple[_RecordedSeed, ...] = ()


@dataclasses.dataclass(slots=True)
class Collected:
    """What an output directory holds.

    Attributes:
        samples: The ranked samples of all jobs, job by job.
        unranked: Directories of samples that the ranking table of their job does not list.
        left_out: Directories that may hold results and were not read, see `left_out`.
        without_ranking: Ranking tables that cannot be read; the samples have their own scores.
        without_score: Directories of samples that have no score anywhere.
    """

    samples: list[CollectedSample] = dataclasses.field(default_factory=list)
    unranked: list[Path] = dataclasses.field(default_factory=list)
    left_out: list[Path] = dataclasses.field(default_factory=list)
    without_ranking: list[Path] = dataclasses.field(default_factory=list)
    without_score: list[Path] = dataclasses.field(default_factory=list)


def collect_samples(output_dir: Path) -> Collected:
    """Lists the ranked samples of all jobs; the ranking table of a job decides which count.

    Upstream's own output can be read as well. Scores of interfaces are those of the run
    record; `score_missing` computes others.

    Args:
        output_dir: Directory of the job directories, or one of them.
    """
    alone = is_job_directory(output_dir)
    directories = [output_dir.absolute()] if alone else find_job_directories(output_dir)
    collected = Collected(left_out=[] if alone else left_out(output_dir))
    for directory in directories:
        job = find_job_files(directory)
        collected.left_out += left_out(directory)
        _add_samples(job, collected)
    return collected


def _add_samples(job: JobFiles, collected: Collected) -> None:
    ranking = _ranking(job)
    if job.ranking is not None and not ranking:
        collected.without_ranking.append(job.ranking)
    recorded = _recorded(job)
    files = {
        (files.seed, files.sample): files
        for files in job.samples
        if files.seed is not None and files.sample is not None and not files.mark
    }
    if ranking:
        collected.unranked += [
            job.directory / found.label for key, found in files.items() if key not in ranking
        ]
    samples = []
    # What the table does not list is of another run, or not finished.
    for key in ranking or files:
        seed, number = key
        found = files.get(key)
        summary = _summary(found)
        score = ranking.get(key, summary.ranking_score)
        if score is None:
            assert found is not None  # It is not of the table, so it is of the files.
            collected.without_score.append(job.directory / found.label)
            continue
        samples.append(
            CollectedSample(
                job=job.prefix,
                directory=job.directory.name,
                seed=seed,
                sample=number,
                ranking_score=score,
                summary=summary,
                files=found,
                interfaces=_of_these_files(recorded.get(key), found),
            )
        )
    best = max(samples, key=lambda sample: sample.ranking_score, default=None)
    if best is not None:
        best.best = True
    collected.samples += samples


def _ranking(job: JobFiles) -> dict[tuple[int, int], float]:
    if job.ranking is None:
        return {}
    try:
        return read_ranking(job.ranking)
    except UnreadableFileError:
        return {}


def _recorded(job: JobFiles) -> dict[tuple[int, int], InterfaceScores]:
    """Scores of interfaces by seed and sample, as far as the run record has them."""
    record = read_json(job.record, _RecordedScores) if job.record else None
    if record is None:
        return {}
    return {
        (seed.seed, sample.index): sample.interface_scores
        for seed in record.seeds
        for sample in seed.samples
        if sample.interface_scores and sample.interface_scores.formulas == FORMULAS
    }


def _of_these_files(
    recorded: InterfaceScores | None, files: SampleFiles | None
) -> InterfaceScores | None:
    """Recorded scores, unless other files lie there by now, such as those of a later run."""
    if recorded is None or files is None:
        return recorded
    try:
        return recorded if recorded.files == sample_files_digest(files) else None
    except UnreadableFileError:
        return None


def _summary(files: SampleFiles | None) -> Scores:
    if files is None or files.summary is None:
        return Scores()
    try:
        return read_scores(files.summary)
    except UnreadableFileError:
        return Scores()


def score_missing(samples: Sequence[CollectedSample], processes: int) -> None:
    """Computes the interface scores that no run record has.

    Args:
        samples: The samples to score; `interfaces` or `problem` is set in place.
        processes: How many processes may work at once.
    """
    waiting = [s for s in samples if s.can_be_scored]
    large = [s for s in waiting if _is_large(s.files)]
    small = [s for s in waiting if not _is_large(s.files)]
    if processes > 1 and len(small) >= _WORTH_PROCESSES:
        with concurrent.futures.ProcessPoolExecutor(processes, spawn_context()) as pool:
            results = list(pool.map(_try_to_score, [s.files for s in small], chunksize=8))
    else:
        results = [_try_to_score(s.files) for s in small]
    results += [_try_to_score(s.files) for s in large]
    for sample, result in zip((*small, *large), results, strict=True):
        if isinstance(result, InterfaceScores):
            sample.interfaces = result
        else:
            sample.problem = result


def _is_large(files: SampleFiles | None) -> bool:
    path = files.confidences if files else None
    try:
        return path is not None and path.stat(follow_symlinks=False).st_size > _LARGE_BYTES
    except OSError:
        return False


def _try_to_score(files: SampleFiles | None) -> InterfaceScores | str:
    """The scores, or why there are none."""
    try:
        return sample_scores(files) if files else "no files"
    except UnreadableFileError as error:
        return str(error)
