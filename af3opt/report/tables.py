"""Scores of all samples as CSV."""

import csv
import io
from collections.abc import Iterable

from af3opt.report.job import Job

_COLUMNS = (
    "job", "directory", "sample_directory", "seed", "sample", "rank", "ranking_score", "iptm",
    "ptm", "mean_plddt", "fraction_disordered", "has_clash", "synthetic_weights", "remarks",
)  # fmt: skip
# A cell that starts like this is run as a formula by spreadsheets.
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def scores_csv(jobs: Iterable[Job]) -> str:
    """Returns one line per sample, best first within each job.

    Empty cells are undefined or missing values. Text that a spreadsheet would run
    as a formula gets an apostrophe in front.
    """
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for job in jobs:
        for sample in job.samples:
            scores = sample.scores
            writer.writerow(
                [
                    _inert(job.name),
                    _inert(job.files.directory.absolute().name),
                    _inert(sample.files.label),
                    sample.files.seed,
                    sample.files.sample,
                    sample.rank,
                    sample.ranking_score,
                    scores.iptm,
                    scores.ptm,
                    None if sample.mean_plddt is None else round(sample.mean_plddt, 2),
                    scores.fraction_disordered,
                    None if scores.has_clash is None else int(scores.has_clash),
                    int(job.synthetic),
                    _inert("; ".join([*sample.flags, *sample.missing])),
                ]
            )
    return text.getvalue()


def _inert(text: str) -> str:
    return f"'{text}" if text.startswith(_FORMULA_STARTS) else text
