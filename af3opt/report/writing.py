"""Writing reports beside the results they show."""

import dataclasses
import logging
import os
import urllib.parse
from pathlib import Path

from af3opt.base.atomic import atomic_write_text
from af3opt.base.errors import InputError, SetupError
from af3opt.report.batch import add_failures, batch_payload, batch_row
from af3opt.report.figures import check_matplotlib, sample_picture
from af3opt.report.job import Job, load_job
from af3opt.report.page import batch_page, job_page
from af3opt.report.payload import job_payload
from af3opt.report.tables import scores_csv
from af3opt.scores.reading.layout import (
    find_job_directories,
    is_job_directory,
    left_out,
    left_out_text,
)

_log = logging.getLogger(__name__)

# Enough for five seeds of five samples.
DEFAULT_MAX_SAMPLES = 25
# Where a batch says which of its jobs failed, and why.
_FAILED_FILE = "failed.json"
BATCH_PAGE = "af3opt_report.html"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ReportFiles:
    """What to write besides the page.

    Attributes:
        png: PAE and pLDDT of each embedded sample as a picture (needs matplotlib).
        csv: Scores of all samples.
        max_samples: Samples to embed whole, best first.
        job_pages: For a batch, whether to write each job's page; else the table links to
            those that are there.
    """

    png: bool = False
    csv: bool = False
    max_samples: int = DEFAULT_MAX_SAMPLES
    job_pages: bool = True


def write_report(
    job_dir: Path, output: Path | None = None, files: ReportFiles | None = None
) -> Path:
    """Writes the report of one job.

    Args:
        job_dir: The job's output directory, of af3opt or upstream, complete or not.
        output: Page to write; by default `<name>_report.html` in `job_dir`.
        files: What else to write, beside the page.

    Returns:
        The page.

    Raises:
        InputError: `job_dir` holds no results.
        SetupError: the page cannot be written there, or pictures are wanted and
            matplotlib is missing.
    """
    wanted = files or ReportFiles()
    if not is_job_directory(job_dir):
        raise InputError(_no_results(job_dir))
    _check_wanted(wanted)
    job = load_job(job_dir, wanted.max_samples)
    page = _write_job_page(job, output)
    if wanted.csv:
        _write_text(page.with_suffix(".csv"), scores_csv([job]))
    if wanted.png:
        _write_pictures(job, page)
    return page


def write_batch_report(
    batch_dir: Path, output: Path | None = None, files: ReportFiles | None = None
) -> Path:
    """Writes the report of a directory of jobs, and by default of each job in it.

    Args:
        batch_dir: Directory whose sub-directories are job directories.
        output: Page to write; by default `af3opt_report.html` in `batch_dir`. When
            given, the pages of jobs go into `<output stem>_jobs` beside it, so that
            nothing is written into `batch_dir`.
        files: What to write.

    Returns:
        The batch's page.

    Raises:
        InputError: `batch_dir` holds no job directories.
        SetupError: as for `write_report`.
    """
    wanted = files or ReportFiles()
    directories = find_job_directories(batch_dir)
    if not directories and not (batch_dir / _FAILED_FILE).is_file():
        raise InputError(_no_results(batch_dir))
    _check_wanted(wanted)
    skipped = left_out(batch_dir)
    if skipped:
        _log.warning("%s", left_out_text(skipped))
    page = output or batch_dir / BATCH_PAGE
    rows, jobs = [], []
    for directory in directories:
        # Without its page only the best sample's structure is needed, for pLDDT.
        most = wanted.max_samples if wanted.job_pages else 1
        job = load_job(directory, most, alignments=wanted.job_pages)
        if wanted.job_pages:
            job_page_path = None if output is None else _page_beside(output, directory)
            own_page = _write_job_page(job, job_page_path)
            if wanted.png:
                _write_pictures(job, own_page)
        else:
            own_page = _default_page(job)
        # A link may lead to anything of the reader's; a page that is none is left alone.
        linked = own_page.is_file() and not own_page.is_symlink()
        href = _relative_address(own_page, page) if linked else None
        rows.append(batch_row(job, href, len(directories)))
        jobs.append(_without_arrays(job))
    add_failures(rows, batch_dir / _FAILED_FILE)
    name = batch_dir.absolute().name
    _write_text(page, batch_page(f"{name} - af3opt report", batch_payload(name, rows)))
    if wanted.csv:
        _write_text(page.with_suffix(".csv"), scores_csv(jobs))
    return page


def _check_wanted(wanted: ReportFiles) -> None:
    """Fails for pictures without matplotlib before any file is written or replaced."""
    if wanted.png:
        check_matplotlib()


def _without_arrays(job: Job) -> Job:
    """Drops what only a job's own page needs, so that large batches fit in memory."""
    job.record = None
    job.alignments = []
    for sample in job.samples:
        sample.structure = sample.tokens = sample.token_plddt = sample.pae = None
        sample.interfaces = tuple(shown.without_contacts() for shown in sample.interfaces)
    return job


def _write_job_page(job: Job, output: Path | None) -> Path:
    page = output or _default_page(job)
    _write_text(page, job_page(f"{job.name} - af3opt report", job_payload(job)))
    return page


def _default_page(job: Job) -> Path:
    # `prefix` comes from file names in the directory, so it holds no separators.
    return job.files.directory / f"{job.files.prefix}_report.html"


def _write_pictures(job: Job, page: Path) -> None:
    """Writes one picture per embedded sample beside the page."""
    for sample in job.samples:
        if sample.token_plddt is None and sample.pae is None:
            continue
        target = page.with_name(f"{page.stem}_{sample.files.label}.png")
        try:
            target.write_bytes(sample_picture(job, sample))
        except OSError as error:
            raise SetupError(_not_writable(target, error)) from error


def _page_beside(output: Path, directory: Path) -> Path:
    return output.with_name(f"{output.stem}_jobs") / f"{directory.name}.html"


def _relative_address(target: Path, page: Path) -> str:
    """Address of `target` as a link from `page`; a leading ./ keeps colons from being schemes."""
    relative = os.path.relpath(target.absolute(), page.absolute().parent)
    return "./" + urllib.parse.quote(Path(relative).as_posix())


def _write_text(path: Path, text: str) -> None:
    """Writes text; lone surrogates, which JSON can smuggle in, become question marks.

    Raises:
        SetupError: the directory cannot be written to.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic_write_text(path, text.encode("utf-8", "replace").decode("utf-8"))
    except OSError as error:
        raise SetupError(_not_writable(path, error)) from error


def _not_writable(path: Path, error: OSError) -> str:
    return f"cannot write {path}: {error.strerror}; choose another place with --output"


def _no_results(directory: Path) -> str:
    what = "holds no AlphaFold 3 results" if directory.is_dir() else "is not a directory"
    return f"{directory} {what}; give a job's output directory or a directory of those"
