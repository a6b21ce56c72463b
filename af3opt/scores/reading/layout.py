"""Finding the files of a job by what is on disk, never by names written inside files.

Accepts the current layout (`seed-1_sample-0/<name>_seed-1_sample-0_model.cif`)
and that of AlphaFold 3.0.0 and 3.0.1 (`seed-1_sample-0/model.cif`), compressed or not.
"""

import dataclasses
import re
from collections.abc import Iterable
from pathlib import Path

from af3opt.base.atomic import is_temporary

# Anything after the sample number is a mark, such as that of non-finite samples.
_SAMPLE_DIRECTORY = re.compile(r"seed-(\d+)_sample-(\d+)(.*)", re.DOTALL)
_JOB_FILE_ENDINGS = ("ranking_scores.csv", "_data.json", "_af3opt.json", "summary_confidences.json")
_STRUCTURE_ENDINGS = ("model.cif", "model.cif.zst")
_CONFIDENCE_ENDINGS = ("confidences.json", "confidences.json.zst")
_SUMMARY_ENDINGS = ("summary_confidences.json", "summary_confidences.json.zst")


@dataclasses.dataclass(frozen=True, slots=True)
class SampleFiles:
    """The files of one sample; None for those that are missing.

    Attributes:
        label: Directory name, or "top-ranked" for copies kept without samples.
        seed: Seed, or None when unknown.
        sample: Sample number, or None when unknown.
        mark: What follows the sample number in the directory name, usually "".
        structure: The mmCIF file.
        confidences: Full confidences.
        summary: Summary confidences.
    """

    label: str
    seed: int | None
    sample: int | None
    mark: str
    structure: Path | None
    confidences: Path | None
    summary: Path | None


@dataclasses.dataclass(frozen=True, slots=True)
class JobFiles:
    """The files of one job; None for those that are missing.

    Attributes:
        directory: The job's directory.
        prefix: What upstream puts before file names: the job's sanitised name.
        samples: Samples in order of seed and number.
        top_ranked: Whether the copy of the best structure is there.
        data: The processed input, `<name>_data.json`.
        ranking: `ranking_scores.csv` of either layout.
        record: The run record of af3opt.
        terms: Terms of use.
    """

    directory: Path
    prefix: str
    samples: tuple[SampleFiles, ...]
    top_ranked: bool
    data: Path | None
    ranking: Path | None
    record: Path | None
    terms: Path | None


def _entries(directory: Path) -> list[Path]:
    """Sorted content of a directory; empty when it cannot be listed."""
    try:
        return sorted(path for path in directory.iterdir() if not is_temporary(path))
    except OSError:
        return []


def _pick(files: Iterable[Path], endings: tuple[str, ...], preferred: str) -> Path | None:
    """The file with one of `endings`; the one starting with `preferred` goes first."""
    matches = [path for path in files if path.name.endswith(endings)]
    for path in matches:
        if path.name in {preferred + ending for ending in endings}:
            return path
    return matches[0] if matches else None


def _sample_files(
    files: list[Path], prefix: str, label: str, identity: tuple[int | None, int | None, str]
) -> SampleFiles:
    seed, sample, mark = identity
    full = [path for path in files if not path.name.endswith(_SUMMARY_ENDINGS)]
    return SampleFiles(
        label=label,
        seed=seed,
        sample=sample,
        mark=mark,
        structure=_pick(files, _STRUCTURE_ENDINGS, prefix),
        confidences=_pick(full, _CONFIDENCE_ENDINGS, prefix),
        summary=_pick(files, _SUMMARY_ENDINGS, prefix),
    )


def is_job_directory(directory: Path) -> bool:
    """Tells whether `directory` looks like the output of one job, even a partial one."""
    for path in _entries(directory):
        if _SAMPLE_DIRECTORY.fullmatch(path.name) and _is_own_directory(path):
            return True
        if path.name.endswith((*_JOB_FILE_ENDINGS, *_STRUCTURE_ENDINGS)) and path.is_file():
            return True
    return False


def find_job_directories(directory: Path) -> list[Path]:
    """Returns the job directories directly inside `directory`, sorted by name."""
    return [
        path for path in _entries(directory) if _is_own_directory(path) and is_job_directory(path)
    ]


def _is_own_directory(path: Path) -> bool:
    """Whether it is a directory that lies here: a link may lead to anything of the reader's."""
    return path.is_dir() and not path.is_symlink()


def find_job_files(directory: Path) -> JobFiles:
    """Returns what there is of one job.

    Args:
        directory: A directory for which `is_job_directory` holds (else all is None).
    """
    entries = _entries(directory)
    files = [path for path in entries if path.is_file()]
    ranking = _pick(files, ("ranking_scores.csv",), "")
    data = _pick(files, ("_data.json", "_data.json.zst"), "")
    record = _pick(files, ("_af3opt.json",), "")
    prefix = _prefix(directory, ranking, data, record, _pick(files, _STRUCTURE_ENDINGS, ""))
    samples = []
    for path in entries:
        sample = find_sample_files(path, prefix) if _is_own_directory(path) else None
        if sample is not None:
            samples.append(sample)
    top = _sample_files(files, f"{prefix}_", "top-ranked", (None, None, ""))
    if not samples and (top.structure or top.confidences or top.summary):
        samples.append(top)
    samples.sort(key=lambda s: (s.seed or 0, s.sample or 0, s.label))
    return JobFiles(
        directory=directory,
        prefix=prefix,
        samples=tuple(samples),
        top_ranked=top.structure is not None,
        data=data,
        ranking=ranking,
        record=record,
        terms=_pick(files, ("TERMS_OF_USE.md",), ""),
    )


def find_sample_files(directory: Path, prefix: str) -> SampleFiles | None:
    """Returns what there is of one sample, None where the directory has another name.

    Args:
        directory: The sample's directory.
        prefix: See `JobFiles`.
    """
    match = _SAMPLE_DIRECTORY.fullmatch(directory.name)
    if not match:
        return None
    files = [file for file in _entries(directory) if file.is_file()]
    identity = (int(match[1]), int(match[2]), match[3].strip("_-. "))
    return _sample_files(files, f"{prefix}_{directory.name}_", directory.name, identity)


def _prefix(directory: Path, *found: Path | None) -> str:
    """The sanitised job name in front of the job's own files, else the directory's name."""
    pattern = re.compile(
        r"(.+)_(?:ranking_scores\.csv|data\.json(?:\.zst)?|af3opt\.json|model\.cif(?:\.zst)?)"
    )
    for path in found:
        match = path and pattern.fullmatch(path.name)
        if match:
            return match[1]
    return directory.absolute().name
