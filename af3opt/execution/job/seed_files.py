"""The files of one seed: each of its directories appears complete, or not at all."""

import dataclasses
import logging
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from af3opt.engine.outputs import (
    SYNTHETIC_NOTE,
    InferenceResult,
    write_distogram,
    write_embeddings,
    write_sample,
)
from af3opt.numerics.checked import CheckedResult
from af3opt.numerics.excluded import NonFiniteSample, write_nonfinite
from af3opt.numerics.extraction import ExtractedSamples
from af3opt.output.checked_files import CheckedFiles
from af3opt.output.engine_results import pdb_atoms
from af3opt.output.pdb import PdbLimitError, pdb_text
from af3opt.output.record_parts import nonfinite_sample_record, ranked_sample_record
from af3opt.output.run_record import SampleRecord
from af3opt.output.tree import JobTree, SampleScore
from af3opt.scores.interface import InterfaceScores
from af3opt.scores.reading.files import UnreadableFileError
from af3opt.scores.reading.layout import find_sample_files
from af3opt.scores.samples import sample_scores
from af3opt.settings.settings import Settings

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SeedResult:
    """What one seed gave.

    Attributes:
        checked: The model's result and what the numerics check found in it.
        samples: Samples to rank, and those set apart because they are not finite.
        embeddings: Arrays to save, empty when not asked for.
        distogram: (tokens, tokens, 64), or None when not asked for.
        seconds: Time that featurisation, model and extraction took.
    """

    checked: CheckedResult
    samples: ExtractedSamples
    embeddings: Mapping[str, np.ndarray]
    distogram: np.ndarray | None
    seconds: float

    @property
    def seed(self) -> int:
        """The seed."""
        return self.checked.verdict.seed


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class WrittenSeed:
    """What was written of a seed.

    Attributes:
        directories: Its directories.
        scores: Its ranked samples.
        records: All its samples, for the run record.
    """

    directories: tuple[Path, ...]
    scores: tuple[SampleScore, ...]
    records: tuple[SampleRecord, ...]


def write_seed_files(
    result: SeedResult, tree: JobTree, settings: Settings, files: CheckedFiles, *, synthetic: bool
) -> WrittenSeed:
    """Writes all directories of a seed.

    Args:
        result: What the seed gave.
        tree: The job's names.
        settings: Says what to write besides the samples, and how.
        files: Writes, as long as the job is this process's.
        synthetic: Mark the files as made with synthetic weights.

    Raises:
        OSError: the job's directory cannot be written.
    """
    seed = result.seed
    directories, scores, records = [], [], []
    for index, sample in sorted(result.samples.ranked.items()):
        directory = tree.sample_dir(seed, index)
        with files.directory(directory) as scratch:
            name = tree.sample_name(seed, index)
            _write_ranked(sample, scratch, name, settings, synthetic=synthetic)
        directories.append(directory)
        scores.append(SampleScore(seed, index, float(sample.metadata["ranking_score"])))
        interfaces = _interface_scores(directory, tree.name) if settings.run_record else None
        records.append(ranked_sample_record(index, directory.name, sample, interfaces))
    for apart in result.samples.apart:
        directory = _write_apart(apart, result, tree, settings, files)
        directories.append(directory)
        records.append(nonfinite_sample_record(apart.index, directory.name))
    directories += _write_arrays(result, tree, files)
    return WrittenSeed(directories=tuple(directories), scores=tuple(scores), records=tuple(records))


def _interface_scores(directory: Path, job: str) -> InterfaceScores | None:
    """Scores a sample from its files, as anybody can who has them; None if that fails."""
    files = find_sample_files(directory, job)
    try:
        return sample_scores(files) if files else None
    except UnreadableFileError as error:
        _log.warning("%s: its interfaces are not scored: %s", directory.name, error)
        return None


def _write_ranked(
    sample: InferenceResult, directory: Path, name: str, settings: Settings, *, synthetic: bool
) -> None:
    write_sample(
        sample,
        directory,
        name,
        compress=settings.compress_large_output_files,
        keep_license=settings.save_terms_of_use,
        synthetic=synthetic,
    )
    if settings.save_pdb:
        remarks = [SYNTHETIC_NOTE] if synthetic else []
        try:
            text = pdb_text(pdb_atoms(sample), remarks)
        except PdbLimitError as error:
            _log.warning("%s: no PDB file: %s; use the mmCIF file", name, error)
        else:
            (directory / f"{name}_model.pdb").write_text(text)


def _write_apart(
    sample: NonFiniteSample,
    result: SeedResult,
    tree: JobTree,
    settings: Settings,
    files: CheckedFiles,
) -> Path:
    """Writes a sample that is not finite under a name that says so."""
    suffix = result.samples.suffix
    plain = tree.sample_dir(result.seed, sample.index)
    directory = plain.with_name(plain.name + suffix)
    with files.directory(directory) as scratch:
        write_nonfinite(
            sample,
            scratch,
            tree.sample_name(result.seed, sample.index) + suffix,
            compress=settings.compress_large_output_files,
        )
    return directory


def _write_arrays(result: SeedResult, tree: JobTree, files: CheckedFiles) -> list[Path]:
    """Writes embeddings and distogram where they were asked for."""
    seed, directories = result.seed, []
    if result.embeddings:
        directories.append(tree.extra_dir(seed, "embeddings"))
        with files.directory(directories[-1]) as scratch:
            write_embeddings(result.embeddings, scratch, tree.extra_name(seed))
    if result.distogram is not None:
        directories.append(tree.extra_dir(seed, "distogram"))
        with files.directory(directories[-1]) as scratch:
            write_distogram(result.distogram, scratch, tree.extra_name(seed))
    return directories
