"""Scores of all samples as CSV."""

import csv
import io
from collections.abc import Iterable

from af3opt.base.plain_text import inert_cell
from af3opt.report.job import Job
from af3opt.scores.columns import INTERFACE_COLUMNS, interface_values
from af3opt.scores.interface import main_interface

_COLUMNS = (
    "job", "directory", "sample_directory", "seed", "sample", "rank", "ranking_score", "iptm",
    "ptm", "mean_plddt", "fraction_disordered", "has_clash", "synthetic_weights", "remarks",
    *INTERFACE_COLUMNS,
)  # fmt: skip


def scores_csv(jobs: Iterable[Job]) -> str:
    """Returns one line per sample, best first within each job.

    Empty cells are undefined or missing values. Scores of interfaces are those of the
    sample's main interface, of embedded samples only. Text that a spreadsheet would run
    as a formula gets an apostrophe in front.
    """
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for job in jobs:
        for sample in job.samples:
            scores = sample.scores
            found = main_interface(tuple(shown.scores for shown in sample.interfaces))
            writer.writerow(
                [
                    inert_cell(job.name),
                    inert_cell(job.files.directory.absolute().name),
                    inert_cell(sample.files.label),
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
                    inert_cell("; ".join([*sample.flags, *sample.missing])),
                    *interface_values(found).values(),
                ]
            )
    return text.getvalue()
