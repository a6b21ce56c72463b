"""One job's results in memory, whatever state its directory is in."""

import dataclasses
import math
from pathlib import Path

import numpy as np

from af3opt.base.json_types import JsonObject
from af3opt.report.alignments import Coverage, alignment_coverages
from af3opt.report.inputs import InputChain, input_chains, input_name
from af3opt.report.interfaces import ShownInterface, shown_interfaces
from af3opt.report.pae import PaeMap, reduce_pae
from af3opt.report.record import record_problems, sample_entries, sample_flags
from af3opt.scores.reading.confidences import (
    Confidences,
    Scores,
    read_confidences,
    read_ranking,
    read_scores,
)
from af3opt.scores.reading.files import UnreadableFileError, as_object, read_json, read_text
from af3opt.scores.reading.layout import JobFiles, SampleFiles, find_job_files
from af3opt.scores.reading.structure import Structure, read_structure
from af3opt.scores.reading.tokens import (
    Tokens,
    token_plddt,
    tokens_of_confidences,
    tokens_of_topology,
)

# Cells of all embedded PAE maps together: about 4 MB of page before compression,
# enough for 25 samples of 400 tokens at full resolution.
_PAE_CELLS = 4_000_000
_MAX_PAE_SIDE = 1024
_SYNTHETIC = "synthetic weights"
# What a sample's files are called on the page, without the job's name in front.
_STRUCTURE, _CONFIDENCES, _SUMMARY = "model.cif", "confidences.json", "summary_confidences.json"


@dataclasses.dataclass(slots=True)
class Sample:
    """One sample.

    Attributes:
        files: Where it comes from.
        scores: Summary scores; all None when the file is missing.
        ranking_score: From the ranking table, else from the summary.
        excluded: Whether it takes no part in the ranking whatever its score.
        rank: 1 for the best; None when excluded or without a score.
        structure: Atoms, or None when missing or beyond the number shown.
        tokens: Rows of `token_plddt` and `pae`.
        token_plddt: float32 [tokens], 0-100.
        mean_plddt: Mean over atoms.
        pae: Predicted aligned error.
        interfaces: Scores of each pair of chains; none beyond the number shown.
        flags: What a reader should know before trusting it, one clause each.
        missing: Files it lacks or that are damaged, one clause each.
    """

    files: SampleFiles
    scores: Scores = dataclasses.field(default_factory=Scores)
    ranking_score: float | None = None
    excluded: bool = False
    rank: int | None = None
    structure: Structure | None = None
    tokens: Tokens | None = None
    token_plddt: np.ndarray | None = None
    mean_plddt: float | None = None
    pae: PaeMap | None = None
    interfaces: tuple[ShownInterface, ...] = ()
    flags: list[str] = dataclasses.field(default_factory=list)
    missing: list[str] = dataclasses.field(default_factory=list)


@dataclasses.dataclass(slots=True)
class Job:
    """One job.

    Attributes:
        name: As the user spelt it, else from file names.
        files: Where it comes from.
        samples: Best first.
        chains: What was folded.
        alignments: The alignments in the input; none unless asked for.
        record: The run record, or None.
        terms: Text of the terms of use, or "".
        synthetic: Whether the weights were synthetic.
        problems: What is missing or damaged, one clause each.
    """

    name: str
    files: JobFiles
    samples: list[Sample] = dataclasses.field(default_factory=list)
    chains: list[InputChain] = dataclasses.field(default_factory=list)
    alignments: list[Coverage] = dataclasses.field(default_factory=list)
    record: JsonObject | None = None
    terms: str = ""
    synthetic: bool = False
    problems: list[str] = dataclasses.field(default_factory=list)


def load_job(directory: Path, max_samples: int, *, alignments: bool = True) -> Job:
    """Reads a job's results.

    Args:
        directory: The job's directory.
        max_samples: Samples to load whole, best first; of the others only scores
            are read.
        alignments: Whether to look at the alignments.

    Returns:
        The job; what could not be read is listed in `problems` and `missing`.
    """
    files = find_job_files(directory)
    job = Job(name=files.prefix, files=files)
    _load_documents(job, alignments)
    ranking = _load_ranking(job)
    job.samples = [_load_scores(sample_files, ranking) for sample_files in files.samples]
    _apply_record(job)
    _rank(job.samples)
    shown = job.samples[:max_samples]
    max_side = min(_MAX_PAE_SIDE, math.isqrt(_PAE_CELLS // max(len(shown), 1)))
    for sample in shown:
        _load_detail(sample, max_side)
    job.synthetic = _is_synthetic(job)
    if not job.samples:
        job.problems.append("no predicted structures yet")
    elif not files.top_ranked:
        job.problems.append(f"{files.prefix}_model.cif: missing (copy of the best sample)")
    return job


def _load_documents(job: Job, alignments: bool) -> None:
    """Reads the input, the run record and the terms of use."""
    files, problems = job.files, job.problems
    if files.data is None:
        problems.append(f"{files.prefix}_data.json: missing (the input as folded)")
    else:
        try:
            data = as_object(read_json(files.data), files.data)
            job.name = input_name(data) or job.name
            job.chains = input_chains(data)
            job.alignments = alignment_coverages(data) if alignments else []
        except UnreadableFileError as error:
            problems.append(str(error))
    if files.record is not None:
        try:
            job.record = as_object(read_json(files.record), files.record)
        except UnreadableFileError as error:
            problems.append(str(error))
    if files.terms is not None:
        try:
            job.terms = read_text(files.terms)
        except UnreadableFileError as error:
            problems.append(str(error))


def _load_ranking(job: Job) -> dict[tuple[int, int], float]:
    """Reads the ranking table; empty when it is missing or damaged."""
    if job.files.ranking is None:
        job.problems.append("ranking_scores.csv: missing; ranked by the samples' own scores")
        return {}
    try:
        return read_ranking(job.files.ranking)
    except UnreadableFileError as error:
        job.problems.append(str(error))
        return {}


def _load_scores(files: SampleFiles, ranking: dict[tuple[int, int], float]) -> Sample:
    """Reads a sample's summary and notes the files it lacks."""
    sample = Sample(files)
    for path, what in (
        (files.structure, _STRUCTURE),
        (files.confidences, _CONFIDENCES),
        (files.summary, _SUMMARY),
    ):
        if path is None:
            sample.missing.append(f"{what}: missing")
    if files.summary is not None:
        try:
            sample.scores = read_scores(files.summary)
        except UnreadableFileError as error:
            sample.missing.append(f"{_SUMMARY}: {error.reason}")
    sample.ranking_score = sample.scores.ranking_score
    if files.seed is not None and files.sample is not None:
        key = (files.seed, files.sample)
        sample.ranking_score = ranking.get(key, sample.ranking_score)
        if ranking and key not in ranking and not files.mark:
            sample.excluded = True
            sample.flags.append("not in the ranking table, not ranked")
    sample.excluded = sample.excluded or bool(files.mark)
    if files.mark:
        sample.flags.append(f"marked {files.mark!r}, not ranked")
    if sample.scores.has_clash:
        sample.flags.append("steric clashes")
    return sample


def _apply_record(job: Job) -> None:
    """Takes over what the run record says of the job and its samples."""
    record = job.record or {}
    job.problems += record_problems(record)
    entries = sample_entries(record)
    for sample in job.samples:
        seed, number = sample.files.seed, sample.files.sample
        if seed is None or number is None or (seed, number) not in entries:
            continue
        entry, remark = entries[seed, number]
        sample.excluded = sample.excluded or entry.get("ranked") is False
        sample.flags += sample_flags(entry)
        if remark:
            sample.flags.append(remark)


def _rank(samples: list[Sample]) -> None:
    """Sorts samples best first; excluded ones and those without a score go last, unranked."""

    def unranked(sample: Sample) -> bool:
        return sample.excluded or sample.ranking_score is None

    samples.sort(key=lambda s: (unranked(s), -(s.ranking_score or 0.0)))
    for position, sample in enumerate(samples):
        sample.rank = None if unranked(sample) else position + 1


def _load_detail(sample: Sample, max_side: int) -> None:
    """Reads a sample's structure and confidences."""
    if sample.files.structure is not None:
        try:
            sample.structure = read_structure(sample.files.structure)
        except UnreadableFileError as error:
            sample.missing.append(f"{_STRUCTURE}: {error.reason}")
    confidences = _load_confidences(sample)
    topology = sample.structure.topology if sample.structure else None
    sample.tokens = tokens_of_confidences(confidences, topology)
    if sample.tokens is None and topology is not None:
        sample.tokens = tokens_of_topology(topology)
    _attach_plddt(sample, confidences)
    if confidences.pae is not None:
        _attach_pae(sample, confidences.pae, max_side)
    if sample.structure is not None and sample.tokens is not None:
        sample.interfaces = shown_interfaces(
            sample.structure, confidences, sample.tokens, sample.scores
        )


def _load_confidences(sample: Sample) -> Confidences:
    """Reads the full confidences; what is wrong with them is noted."""
    path = sample.files.confidences
    if path is None:
        return Confidences()
    try:
        confidences = read_confidences(path)
    except UnreadableFileError as error:
        sample.missing.append(f"{_CONFIDENCES}: {error.reason}")
        return Confidences()
    if confidences.pae is None:
        sample.missing.append(f"{_CONFIDENCES}: no usable pae matrix")
    return confidences


def _attach_plddt(sample: Sample, confidences: Confidences) -> None:
    """Takes pLDDT from the confidences, else from the structure's B factors."""
    values = confidences.atom_plddts
    structure = sample.structure
    if structure is not None:
        if values is None or len(values) != len(structure.b_factors):
            values = structure.b_factors
        if sample.tokens is not None:
            sample.token_plddt = token_plddt(sample.tokens, structure.topology, values)
        broken = int(np.count_nonzero(~np.isfinite(structure.coordinates).all(axis=1)))
        if broken:
            sample.flags.append(f"atoms without finite coordinates: {broken}")
    if values is not None:
        finite = values[np.isfinite(values)]
        sample.mean_plddt = float(finite.mean()) if finite.size else None
        if finite.size < values.size:
            sample.flags.append(f"atoms without pLDDT: {values.size - finite.size}")


def _attach_pae(sample: Sample, pae: np.ndarray, max_side: int) -> None:
    """Reduces the PAE matrix, unless its size does not fit the tokens."""
    if sample.tokens is None or len(sample.tokens) != len(pae):
        sample.missing.append(f"{_CONFIDENCES}: pae does not fit the list of tokens")
        return
    broken = int(np.count_nonzero(~np.isfinite(pae)))
    if broken:
        sample.flags.append(f"PAE entries that are not finite: {broken}")
    sample.pae = reduce_pae(pae, max_side)


def _is_synthetic(job: Job) -> bool:
    """Looks for the mark of synthetic weights in the record, summaries and structures."""
    notes = [sample.scores.note for sample in job.samples]
    notes += [sample.structure.comment for sample in job.samples if sample.structure]
    if any(_SYNTHETIC in note for note in notes):
        return True
    weights = (job.record or {}).get("weights")
    return isinstance(weights, dict) and bool(weights.get("synthetic"))
