"""`af3opt report`: pages that show the results of a job or a batch."""

import argparse
from pathlib import Path

from af3opt.base.command_parser import CommandParser
from af3opt.base.errors import ExitCode, UsageError
from af3opt.base.standard_streams import write_out

SUMMARY = "write an HTML page (and PNG, CSV) of a job's or a batch's results"

_DESCRIPTION = """\
Writes one self-contained HTML page that works offline: structure coloured by pLDDT,
PAE, chain pairs, ranking, timings. A directory of jobs gets a table that links to one
page per job. Results of run_alphafold.py are read as well as af3opt's own, compressed or
not, complete or not. Prints the path of the page."""


def main(argv: list[str]) -> int:
    """Runs `af3opt report` and returns the exit code."""
    arguments = _parser().parse_args(argv)
    if arguments.max_samples < 1:
        raise UsageError("--max_samples must be at least 1")
    directory: Path = arguments.directory
    output: Path | None = arguments.output
    if output is not None and output.is_dir():
        raise UsageError(f"--output={output} is a directory; give a file name ending in .html")
    # Imported late: numpy is not needed for --help or a mistyped flag.
    from af3opt.report import ReportFiles, write_batch_report, write_report
    from af3opt.scores.reading.layout import is_job_directory

    files = ReportFiles(
        png=arguments.png,
        csv=arguments.csv,
        max_samples=arguments.max_samples,
        job_pages=not arguments.nojob_pages,
    )
    write = write_report if is_job_directory(directory) else write_batch_report
    write_out(f"{write(directory, output, files)}\n")
    return ExitCode.OK


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser(
        prog="af3opt report",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "directory", metavar="DIR", type=Path, help="output directory of a job, or of several jobs"
    )
    parser.add_argument(
        "--output",
        metavar="FILE",
        type=Path,
        help="page to write; default: <name>_report.html in a job's directory, af3opt_report.html "
        "in a batch's. For a batch, job pages then go to <FILE without .html>_jobs/",
    )
    parser.add_argument(
        "--png",
        action="store_true",
        help="also draw PAE and pLDDT of each sample for slides (needs matplotlib)",
    )
    parser.add_argument(
        "--csv", action="store_true", help="also write the scores of all samples as CSV"
    )
    parser.add_argument(
        "--max_samples",
        metavar="N",
        type=int,
        default=25,
        help="embed structure and PAE of the N best samples of a job (default: %(default)s); "
        "the ranking always lists all",
    )
    parser.add_argument(
        "--nojob_pages",
        action="store_true",
        help="for a batch, write its page only; it links to the pages of jobs that are there",
    )
    return parser
