"""Upstream's output tree: where each file of a job lies and when it counts as written.

    <job>/<job>_data.json
    <job>/seed-S_sample-K/<job>_seed-S_sample-K_{model.cif,confidences.json,...}
    <job>/seed-S_{embeddings,distogram}/...            on request
    <job>/<job>_{model.cif,confidences.json,summary_confidences.json}   the best sample
    <job>/<job>_ranking_scores.csv
    <job>/TERMS_OF_USE.md

Every sample directory appears complete, by rename. The files of the best sample are
copies of that sample's files under the job's name, which is what upstream writes too
(apart from the second in its time stamp).
"""

import csv
import dataclasses
import io
import re
import shutil
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

from af3opt.output.checked_files import UNCHECKED, CheckedFiles

# Of the input with MSAs and templates filled in, behind the job's name.
DATA_ENDING = "_data.json"
_SAMPLE_SUFFIXES = ("model.cif", "confidences.json", "summary_confidences.json", "model.pdb")
_COMPRESSED = ".zst"
_RANKING = "ranking_scores.csv"
_SEED_DIRECTORY = re.compile(r"seed-\d+_")


@dataclasses.dataclass(frozen=True, slots=True, order=True)
class SampleScore:
    """One line of the ranking table."""

    seed: int
    sample: int
    ranking_score: float


@dataclasses.dataclass(frozen=True, slots=True)
class JobTree:
    """Names the files of one job.

    Attributes:
        root: The job's directory.
        name: The job's sanitised name, prefix of its files.
    """

    root: Path
    name: str

    @property
    def data_json(self) -> Path:
        """The input with MSAs and templates filled in."""
        return self.root / f"{self.name}{DATA_ENDING}"

    @property
    def ranking_csv(self) -> Path:
        """The table of ranking scores."""
        return self.root / f"{self.name}_{_RANKING}"

    @property
    def report(self) -> Path:
        """The page that shows the results."""
        return self.root / f"{self.name}_report.html"

    def sample_dir(self, seed: int, sample: int) -> Path:
        """Directory of one diffusion sample."""
        return self.root / f"seed-{seed}_sample-{sample}"

    def sample_name(self, seed: int, sample: int) -> str:
        """Prefix of the files of one diffusion sample."""
        return f"{self.name}_seed-{seed}_sample-{sample}"

    def extra_dir(self, seed: int, kind: str) -> Path:
        """Directory of a seed's embeddings or distogram."""
        return self.root / f"seed-{seed}_{kind}"

    def results(self) -> list[Path]:
        """What is there of predictions: directories of seeds, the ranking, the best sample."""
        names = {*self.names_of_best(), self.ranking_csv.name}
        return sorted(
            path
            for path in self.root.iterdir()
            if path.name in names or _SEED_DIRECTORY.match(path.name)
        )

    def names_of_best(self) -> set[str]:
        """Names that the files of the best sample can have under the job's name."""
        return {
            f"{self.name}_{suffix}{ending}"
            for suffix in _SAMPLE_SUFFIXES
            for ending in ("", _COMPRESSED)
        }

    def extra_name(self, seed: int) -> str:
        """Prefix of a seed's embeddings or distogram file."""
        return f"{self.name}_seed-{seed}"


def write_ranking(
    tree: JobTree, scores: Iterable[SampleScore], files: CheckedFiles = UNCHECKED
) -> SampleScore | None:
    """Rewrites the ranking table and the best sample's copies; returns the best.

    Copies of another sample that the best one does not replace are removed.

    Args:
        tree: The job.
        scores: Scores of every finished sample, in the order seeds were run.
        files: Writes them.

    Returns:
        The sample with the highest score (the first of equals), None without samples.
    """
    rows = list(scores)
    if not rows:
        return None
    best = best_sample(rows)
    source = tree.sample_dir(best.seed, best.sample)
    # Listed, not asked for one by one: a name that is too long would be an error, not absent.
    written = {path.name for path in source.iterdir()} if source.is_dir() else set()
    copies = copies_of_best(tree, best, written)
    for origin, target in copies:
        _copy(origin, target, files)
    # A run with other options may have used the directory before: compressed, or with PDB files.
    outdated = tree.names_of_best() - {target.name for _, target in copies}
    for path in [path for path in tree.root.iterdir() if path.name in outdated]:
        files.check()
        path.unlink(missing_ok=True)
    files.text(tree.ranking_csv, ranking_text(rows))
    return best


def ranking_text(rows: Sequence[SampleScore]) -> str:
    """The table of ranking scores."""
    with io.StringIO(newline="") as text:
        writer = csv.writer(text)
        writer.writerow(["seed", "sample", "ranking_score"])
        writer.writerows(dataclasses.astuple(row) for row in rows)
        return text.getvalue()


def copies_of_best(
    tree: JobTree, best: SampleScore, written: Collection[str]
) -> list[tuple[Path, Path]]:
    """The files of the best sample, each with that under the job's name.

    Args:
        tree: The job.
        best: Its best sample.
        written: Names of that sample's files.
    """
    source, prefix = (
        tree.sample_dir(best.seed, best.sample),
        tree.sample_name(best.seed, best.sample),
    )
    return [
        (source / f"{prefix}_{suffix}{ending}", tree.root / f"{tree.name}_{suffix}{ending}")
        for suffix in _SAMPLE_SUFFIXES
        for ending in ("", _COMPRESSED)
        if f"{prefix}_{suffix}{ending}" in written
    ]


def best_sample(rows: Sequence[SampleScore]) -> SampleScore:
    """The sample with the highest score, the first of equals."""
    return max(rows, key=lambda row: row.ranking_score)


def _copy(origin: Path, target: Path, files: CheckedFiles) -> None:
    with origin.open("rb") as source, files.file(target) as stream:
        shutil.copyfileobj(source, stream)
