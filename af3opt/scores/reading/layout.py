"""Finding the files of a job by what is on disk, never by names written inside files.

Accepts the current layout (`seed-1_sample-0/<name>_seed-1_sample-0_model.cif`)
and that of AlphaFold 3.0.0 and 3.0.1 (`seed-1_sample-0/model.cif`), compressed or not.
"""

import dataclasses
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from af3opt.base.atomic import is_temporary
from af3opt.base.plain_text import visible

# Anything after the sample number is a mark, such as that of non-finite samples. Numbers are
# as they are written to names, so that no two directories are the same sample.
_NUMBER = "(0|[1-9][0-9]*)"
_SAMPLE_DIRECTORY = re.compile(rf"seed-{_NUMBER}_sample-{_NUMBER}(?![0-9])(.*)", re.DOTALL)
# Files that a job has and none of its samples.
_ABOVE_SAMPLES = ("ranking_scores.csv", "_data.json", "_data.json.zst", "_af3opt.json")
_JOB_FILE_ENDINGS = (*_ABOVE_SAMPLES, "summary_confidences.json", "summary_confidences.json.zst")
_MOST_NAMED = 3
_STRUCTURE_ENDINGS = ("model.cif", "model.cif.zst")
# Behind a job's name, in the order in which they are believed.
_NAMED_ENDINGS = (
    *("_ranking_scores.csv", "_data.json", "_data.json.zst", "_af3opt.json"),
    *("_model.cif", "_model.cif.zst"),
)
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


def _first(files: Iterable[Path], *names: str) -> Path | None:
    """The first of some names that is there."""
    there = {path.name: path for path in files}
    return next((there[name] for name in names if name in there), None)


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
    """Tells whether `directory` looks like the output of one job, even a partial one.

    A directory of jobs may hold a job's files as well, such as copies of all structures or
    a table of scores: it stays one of jobs.
    """
    entries = _entries(directory)
    if not _holds_results(entries):
        return False
    if not any(_is_job_below(path) for path in entries):
        return True
    # A job's own directory may hold an earlier result that somebody has put aside.
    own = any(
        directory.absolute().name == name or directory.absolute().name.startswith(f"{name}_")
        for name in _job_names(entries)
    )
    return own and any(map(_is_sample_directory, entries))


def find_job_directories(directory: Path) -> list[Path]:
    """Returns the job directories directly inside `directory`, sorted by name."""
    return [path for path in _entries(directory) if _is_job_below(path)]


def left_out(directory: Path) -> list[Path]:
    """Returns what lies directly inside `directory`, may hold results and is not read.

    These are links to directories with results, unless they lead to a directory beside
    them, and directories that cannot be listed.
    """
    return [
        path
        for path in _entries(directory)
        if path.is_dir() and (_leads_to_results(path) if path.is_symlink() else _is_closed(path))
    ]


def left_out_text(directories: Sequence[Path]) -> str:
    """One line that names the first of what `left_out` found."""
    names = ", ".join(visible(str(path)) for path in directories[:_MOST_NAMED])
    more = ", ..." if len(directories) > _MOST_NAMED else ""
    return (
        f"Directories that are links, or cannot be read, are left out: {len(directories)} "
        f"({names}{more}); give the directory itself"
    )


def _leads_to_results(link: Path) -> bool:
    if link.resolve().parent == link.parent.resolve():
        return False
    is_sample = _SAMPLE_DIRECTORY.fullmatch(link.name) is not None
    return is_sample or _holds_results(_entries(link))


def _is_closed(directory: Path) -> bool:
    return not os.access(directory, os.R_OK | os.X_OK)


def _is_job_below(path: Path) -> bool:
    """Whether a directory among others is a job's; one of jobs is not, nor a sample's."""
    if not _is_own_directory(path) or _is_sample_directory(path):
        return False
    return is_job_directory(path)


def _holds_results(entries: Iterable[Path]) -> bool:
    """Whether some of the content of a directory is a job's."""
    endings = (*_JOB_FILE_ENDINGS, *_STRUCTURE_ENDINGS)
    return any(
        _is_sample_directory(path) or (path.name.endswith(endings) and path.is_file())
        for path in entries
    )


def _is_sample_directory(path: Path) -> bool:
    """Tells a sample's directory from that of a job with such a name, by what is in it."""
    if not _SAMPLE_DIRECTORY.fullmatch(path.name) or not _is_own_directory(path):
        return False
    return not any(
        entry.name.endswith(_ABOVE_SAMPLES) or _is_sample_directory(entry)
        for entry in _entries(path)
    )


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
    prefix = _prefix(directory, files)
    samples = []
    for path in entries:
        sample = find_sample_files(path, prefix) if _is_sample_directory(path) else None
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
        data=_first(files, f"{prefix}_data.json", f"{prefix}_data.json.zst"),
        ranking=_first(files, f"{prefix}_ranking_scores.csv", "ranking_scores.csv"),
        record=_first(files, f"{prefix}_af3opt.json"),
        terms=_first(files, "TERMS_OF_USE.md"),
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


def _prefix(directory: Path, files: Iterable[Path]) -> str:
    """The sanitised job name in front of the job's own files, else the directory's name.

    Files of another job may lie among them: the directory has the job's name, perhaps with
    a stamp behind it.
    """
    own = directory.absolute().name
    names = _job_names(files)
    stamped = [name for name in names if own.startswith(f"{name}_")]
    if own in names:
        return own
    return max(stamped, key=len) if stamped else next(iter(names), own)


def _job_names(files: Iterable[Path]) -> list[str]:
    """The names in front of a job's files, those that tell most first."""
    listed = list(files)
    return [
        path.name.removesuffix(ending)
        for ending in _NAMED_ENDINGS
        for path in listed
        if path.name.endswith(ending) and path.name != ending and path.is_file()
    ]
