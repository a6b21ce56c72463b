"""Reports people look at: one self-contained HTML file per job, and one for a batch.

    from af3opt.report import write_report
    page = write_report(Path("output/my_job"))

Reads what is on disk, af3opt's own or upstream's, complete or not. Needs numpy
and zstandard only; the engine and JAX are never imported.
"""

from af3opt.report.writing import (
    DEFAULT_MAX_SAMPLES,
    ReportFiles,
    write_batch_report,
    write_report,
)

__all__ = ["DEFAULT_MAX_SAMPLES", "ReportFiles", "write_batch_report", "write_report"]
