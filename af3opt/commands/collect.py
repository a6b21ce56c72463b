"""`af3opt collect`: one table of the scores of a batch."""

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from af3opt.base.command_parser import CommandParser
from af3opt.base.errors import ExitCode, SetupError, UsageError
from af3opt.base.plain_text import visible
from af3opt.base.standard_streams import write_out

if TYPE_CHECKING:
    from af3opt.scores.collecting import Collected, CollectedSample
    from af3opt.scores.columns import Row

SUMMARY = "make one table of the scores of an output directory"

_DESCRIPTION = """\
Makes a table with one row per sample: the scores of the engine, and the scores of an interface,
such as ipSAE, pDockQ2 and iLIS. docs/scores.md explains each column. Reads results of af3opt
and of run_alphafold.py.

At a terminal, the table has the most important columns, rounded. Everywhere else it is CSV with
all columns.

The run record of af3opt has the interface scores. Without a record, collect computes them from
the files: for the best sample of each job, or with --all_samples for all samples."""

_RANKING = "ranking_score"
# More processes than this mostly wait for the disk.
_MOST_PROCESSES = 8
_MOST_PROBLEMS_SAID = 5

_log = logging.getLogger(__name__)


def main(argv: list[str]) -> int:
    """Runs `af3opt collect` and returns the exit code.

    Raises:
        UsageError: the directory does not exist, or a flag's value is unknown.
        SetupError: Parquet is asked for without pyarrow, or the file cannot be written.
    """
    arguments = _parser().parse_args(argv)
    _check(arguments)
    # Imported late: numpy is not needed for --help or a mistyped flag.
    from af3opt.commands._score_table import as_csv, as_text, write_table

    rows = _collect(arguments)
    if not rows:
        _log.warning("No job directory in %s has scores yet", arguments.directory)
    if arguments.output is None:
        as_table = arguments.format == "table" or (
            arguments.format == "auto" and sys.stdout.isatty()
        )
        write_out(as_text(rows) if as_table else as_csv(rows))
        return ExitCode.OK
    try:
        write_table(arguments.output, rows)
    except OSError as error:
        raise SetupError(
            f"--output={arguments.output}: cannot be written: {error.strerror}"
        ) from error
    return ExitCode.OK


def _check(arguments: argparse.Namespace) -> None:
    """Finds mistakes that need no file to be read.

    Raises:
        UsageError: there is one.
    """
    from af3opt.scores.columns import COLUMNS

    if not arguments.directory.is_dir():
        what = "is a file" if arguments.directory.exists() else "no such directory"
        raise UsageError(
            f"af3opt collect: {arguments.directory}: {what}; give the output directory of a batch "
            "or a job"
        )
    for flag in ("sort_by", "best"):
        column = getattr(arguments, flag)
        if column is not None and column not in COLUMNS:
            raise UsageError(f"--{flag}={column}: no such column; there are {', '.join(COLUMNS)}")
    if arguments.output is not None and arguments.output.suffix not in (".csv", ".parquet"):
        raise UsageError(f"--output={arguments.output}: must end in .csv or .parquet")
    if arguments.interface and len(set(filter(None, arguments.interface.split(":")))) != 2:
        raise UsageError(f"--interface={arguments.interface}: give two chains, as in A:B")


def _collect(arguments: argparse.Namespace) -> "list[Row]":
    from af3opt.scores.collecting import collect_samples
    from af3opt.scores.columns import best_rows, rows_of, sorted_rows

    collected = collect_samples(arguments.directory)
    _say_left_out(collected)
    samples = collected.samples
    by_other_score = arguments.best not in (None, _RANKING)
    if arguments.best == _RANKING:
        samples = [sample for sample in samples if sample.best]
    _score(samples, every=arguments.all_samples or by_other_score)
    rows = list(
        rows_of(samples, interface=arguments.interface, every_interface=arguments.all_interfaces)
    )
    if arguments.interface and rows and not any(row["interface"] for row in rows):
        _log.warning(
            "--interface=%s: no sample has such an interface; leave the flag out to see each "
            "sample's main interface",
            visible(arguments.interface),
        )
    if by_other_score:
        rows = best_rows(rows, arguments.best, by_interface=arguments.all_interfaces)
    if arguments.sort_by:
        rows = sorted_rows(rows, arguments.sort_by, reverse=arguments.reverse)
    return rows


def _say_left_out(collected: "Collected") -> None:
    """Says what is not in the table, in a line each."""
    from af3opt.scores.reading.layout import left_out_text

    if collected.left_out:
        _log.warning("%s", left_out_text(collected.left_out))
    said = (
        (
            "Samples that the ranking table of their job does not list are left out",
            collected.unranked,
        ),
        ("Samples without a ranking score are left out", collected.without_score),
        (
            "Ranking tables without a score that can be read; samples have the scores of their own "
            "files",
            collected.without_ranking,
        ),
    )
    for text, paths in said:
        if paths:
            more = ", ..." if len(paths) > 1 else ""
            _log.warning("%s: %d (%s%s)", text, len(paths), visible(str(paths[0])), more)


def _score(samples: "Sequence[CollectedSample]", *, every: bool) -> None:
    """Computes scores of interfaces that no record has, and says what is left out."""
    from af3opt.host.host import probe_host
    from af3opt.scores.collecting import score_missing

    wanted = [sample for sample in samples if every or sample.best]
    score_missing(wanted, min(probe_host(os.environ).cpu.usable_cores, _MOST_PROCESSES))
    failed = [sample for sample in wanted if sample.problem]
    for sample in failed[:_MOST_PROBLEMS_SAID]:
        _log.warning(
            "%s, seed %d, sample %d: no interface scores: %s",
            *(visible(sample.directory), sample.seed, sample.sample, visible(sample.problem)),
        )
    if len(failed) > _MOST_PROBLEMS_SAID:
        _log.warning("... and %d more samples", len(failed) - _MOST_PROBLEMS_SAID)
    left = sum(sample.can_be_scored for sample in samples)
    if left:
        _log.warning(
            "Samples without scores of interfaces: %d; --all_samples computes them from files",
            left,
        )


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser(
        prog="af3opt collect",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "directory", metavar="DIR", type=Path, help="output directory of a batch or a job"
    )
    parser.add_argument(
        "--output",
        metavar="FILE",
        type=Path,
        help="file ending in .csv or .parquet; default: standard output",
    )
    parser.add_argument(
        "--format",
        choices=("auto", "table", "csv"),
        default="auto",
        help="format on standard output: auto is a table at a terminal, CSV elsewhere "
        "(default: %(default)s)",
    )
    parser.add_argument(
        "--best",
        metavar="COLUMN",
        nargs="?",
        const=_RANKING,
        help="one row per job: the sample with the best value of a column "
        f"(default column: {_RANKING})",
    )
    parser.add_argument(
        "--sort_by",
        metavar="COLUMN",
        help="sort the rows by a column, best values first; rows without a value come last",
    )
    parser.add_argument("--reverse", action="store_true", help="with --sort_by: worst values first")
    parser.add_argument(
        "--interface",
        metavar="A:B",
        default="",
        help="show the scores of these two chains; default: the interface with the highest ipSAE, "
        "or the highest ipTM if ipSAE is not defined",
    )
    parser.add_argument(
        "--all_interfaces", action="store_true", help="one row for each pair of chains"
    )
    parser.add_argument(
        "--all_samples",
        action="store_true",
        help="compute the interface scores of all samples, not only of the best one of each job",
    )
    return parser
