"""Protein searches: the engine's jackhmmer and the exact scan in turn, on one database.

    af3opt bench --suite=search -- [--size_gb=1] [--parts=one,pass,...] [--output=FILE.json]

The database is made (`--size_gb`) or the user's (`--database`). Both sides search with the
engine's options, and their results are compared byte for byte. With a limited reader, the
process of either side is stopped whenever it has read more than it may.
"""

import argparse
import datetime
import logging
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from af3opt.base.atomic import atomic_write_text
from af3opt.base.command_parser import CommandParser
from af3opt.base.errors import SetupError, UsageError
from af3opt.base.logs import Verbosity, configure_logging
from af3opt.benchmarks.describe import describe_here, describe_host, shown_command
from af3opt.benchmarks.search_parts import PARTS, make_case
from af3opt.benchmarks.search_result import (
    SearchResult,
    format_search_result,
    write_search_result,
)
from af3opt.data.prepared import find_prepared
from af3opt.data.resources import require_component_data
from af3opt.features.featurise import usable_threads
from af3opt.search.hmmer_help import hmmer_help

_log = logging.getLogger(__name__)


def measure(flags: argparse.Namespace, folder: Path, empty: SearchResult) -> Iterator[SearchResult]:
    """Yields the result after each part.

    Args:
        flags: Of the suite.
        folder: Where queries, alignments and made databases go.
        empty: A result without figures.

    Raises:
        SetupError: jackhmmer, the compiled part or the component data is missing, or a search
            fails.
    """
    if "pipeline" in flags.parts:
        # The other parts take minutes; what this one needs is looked for before them.
        require_component_data(find_prepared())
    case = make_case(flags, _program(flags), folder)
    result = empty
    for name in flags.parts:
        _log.info("Measuring: %s", name)
        result = PARTS[name](case, result)
        yield result


def _program(flags: argparse.Namespace) -> str:
    wanted: str = flags.jackhmmer or "jackhmmer"
    program = shutil.which(wanted) or flags.jackhmmer
    if program is None:
        raise SetupError("jackhmmer is not on PATH; install HMMER or give --jackhmmer")
    return program


def _version(program: str) -> str:
    try:
        return hmmer_help(program).banner or "an unknown jackhmmer"
    except OSError as error:
        raise SetupError(f"{program}: cannot be started: {error.strerror}") from error
    except subprocess.TimeoutExpired as error:
        raise SetupError(f"{program}: does not answer") from error


def main(argv: Sequence[str]) -> int:
    """Measures and prints; returns 1 if any result differed."""
    flags = make_parser().parse_args(argv)
    configure_logging(Verbosity())
    result = SearchResult(
        command=shown_command("af3opt bench --suite=search --", argv),
        started=datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
        host=describe_host(),
        subject=describe_here(),
        jackhmmer=_version(_program(flags)),
        threads=flags.threads,
        residues=flags.residues,
        relatives=flags.relatives,
    )
    with tempfile.TemporaryDirectory(prefix="af3opt-bench-", dir=flags.scratch) as folder:
        for measured in measure(flags, Path(folder), result):
            result = measured
            # After each part: a later one that fails must not cost the minutes before it.
            if flags.output is not None:
                write_search_result(result, flags.output)
                atomic_write_text(flags.output.with_suffix(".md"), format_search_result(result))
    sys.stdout.write(format_search_result(result))
    return 0 if result.same_bytes else 1


def make_parser() -> CommandParser:
    """Returns the parser of the suite's flags."""
    parser = CommandParser(prog="af3opt bench --suite=search --", description=__doc__)
    parser.add_argument("--size_gb", type=float, default=1.0, help="size of the made database (1)")
    parser.add_argument("--database", type=Path, help="search this FASTA file instead")
    parser.add_argument("--residues", type=int, default=240, help="length of a query (240)")
    parser.add_argument(
        "--relatives",
        type=float,
        default=1e-4,
        help="share of the targets that are homologs of one query (1e-4)",
    )
    parser.add_argument(
        "--queries", type=int, default=16, help="number of queries in one pass (16)"
    )
    parser.add_argument(
        "--curve",
        type=_counts,
        default=(1, 4, 16),
        help="numbers of queries for the curve of passes, separated by commas (1,4,16)",
    )
    parser.add_argument(
        "--mb_s", type=float, default=50.0, help="speed of the limited reader in MB/s (50)"
    )
    parser.add_argument(
        "--limited_gb",
        type=float,
        default=0.25,
        help="size of the limited reader's database (0.25)",
    )
    parser.add_argument(
        "--pipeline_gb", type=float, default=0.4, help="size of each pipeline database (0.4)"
    )
    parser.add_argument(
        "--parts",
        type=_parts,
        default=tuple(PARTS),
        help=f"separated by commas ({','.join(PARTS)})",
    )
    parser.add_argument("--repeats", type=int, default=3, help="repeats for a single query (3)")
    parser.add_argument(
        "--pass_repeats", type=int, default=2, help="repeats for a pass of many queries (2)"
    )
    parser.add_argument("--threads", type=int, default=usable_threads(), help="for both sides")
    parser.add_argument("--jackhmmer", help="path of jackhmmer (the first on PATH)")
    parser.add_argument("--scratch", type=Path, help="directory for the made databases")
    parser.add_argument(
        "--output", type=Path, help="JSON file; the Markdown file is written beside it"
    )
    return parser


def _counts(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(","))


def _parts(text: str) -> tuple[str, ...]:
    parts = tuple(text.split(","))
    for part in parts:
        if part not in PARTS:
            raise UsageError(f"--parts={text}: {part} is none of {', '.join(PARTS)}")
    return parts
