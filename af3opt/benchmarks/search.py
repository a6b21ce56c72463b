"""Protein searches: the engine's jackhmmer beside the exact scan, in turn, on one database.

    af3opt bench --suite=search -- [--size_gb=1] [--residues=240] [--passes=1,4,16]

The database is made, of the size that is asked for, or the user's (`--database`). Both
sides search with the engine's options, and their alignments are compared byte for byte.
"""

import argparse
import dataclasses
import datetime
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from af3opt.base.atomic import atomic_write_text
from af3opt.base.command_parser import CommandParser
from af3opt.base.errors import SetupError
from af3opt.base.logs import Verbosity, configure_logging
from af3opt.benchmarks.describe import describe_here, describe_host
from af3opt.benchmarks.made_proteins import made_protein, write_database
from af3opt.benchmarks.markdown_rows import table_head, table_row
from af3opt.features.featurise import usable_threads
from af3opt.search.aside import Aside
from af3opt.search.jackhmmer import prepare_search, restrict_searches, run_jackhmmer

_SEED = 1
# What the engine passes, but for files, threads and Z.
_ENGINE_OPTIONS = (
    *("-o", "/dev/null", "--noali", "--F1", "0.0005", "--F2", "5e-05", "--F3", "5e-07"),
    *("-N", "1", "-E", "0.0001", "--incE", "0.0001"),
)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SearchTime:
    """One number of queries, searched by both sides.

    Attributes:
        queries: Queries of a pass; the engine searches them one after the other.
        residues: Of each query.
        engine_seconds: The engine's jackhmmer, all queries, one entry a repeat.
        seconds: The scan and jackhmmer on the survivors.
        scan_seconds: The scan's part, with the queries' profiles.
        survivors: Targets left over, of all queries.
        rows_equal: Whether all alignments were the same to the byte in every repeat.
    """

    queries: int
    residues: int
    engine_seconds: tuple[float, ...]
    seconds: tuple[float, ...]
    scan_seconds: tuple[float, ...]
    survivors: int
    rows_equal: bool

    @property
    def ratio(self) -> float:
        """How many times as long the engine took: the median of the repeats' ratios."""
        pairs = zip(self.engine_seconds, self.seconds, strict=True)
        return statistics.median(engine / ours for engine, ours in pairs)


@dataclasses.dataclass(frozen=True, slots=True)
class _Side:
    """How the searches of one side are run."""

    jackhmmer: str
    threads: int
    database: Path
    folder: Path

    def command(self, query: Path, alignment: Path) -> list[str]:
        """The engine's command for one query."""
        options = ("-A", str(alignment), *_ENGINE_OPTIONS, "--cpu", str(self.threads))
        return [self.jackhmmer, *options, str(query), str(self.database)]

    def engine(self, queries: Sequence[Path]) -> list[bytes]:
        """Searches one query after the other, as the engine does."""
        return [self._aligned(self.command, query) for query in queries]

    def ours(self, queries: Sequence[Path]) -> tuple[list[bytes], float, int]:
        """Searches all queries in one pass.

        Returns:
            The alignments, seconds until the survivors were known, and their number.

        Raises:
            SetupError: the scan steps aside here.
        """
        begun = time.perf_counter()
        commands = [self.command(query, query.with_suffix(".sto")) for query in queries]
        searches = [_understood(prepare_search(command, os.environ)) for command in commands]
        found = _understood(restrict_searches(searches, self.folder, self.threads))
        scanned = time.perf_counter() - begun
        alignments = []
        for query, one in zip(queries, found, strict=True):
            run_jackhmmer(one.command)
            alignments.append(query.with_suffix(".sto").read_bytes())
        return alignments, scanned, sum(one.survivors for one in found)

    def _aligned(self, command: Callable[[Path, Path], list[str]], query: Path) -> bytes:
        alignment = query.with_suffix(".sto")
        run_jackhmmer(command(query, alignment))
        return alignment.read_bytes()


def _understood[T](value: T | Aside) -> T:
    if isinstance(value, Aside):
        raise SetupError(f"the search steps aside: {value.reason}")
    return value


def measure(flags: argparse.Namespace, folder: Path) -> Iterator[SearchTime]:
    """Yields each number of queries, searched by both sides in turn.

    Args:
        flags: Of the suite.
        folder: Where queries, alignments and a made database go.

    Raises:
        SetupError: jackhmmer or the compiled part is missing.
    """
    jackhmmer = flags.jackhmmer or shutil.which("jackhmmer")
    if jackhmmer is None:
        raise SetupError("jackhmmer is not on PATH; install HMMER or give --jackhmmer")
    generator = np.random.default_rng(_SEED)
    sequences = [made_protein(generator, flags.residues) for _ in range(max(flags.passes))]
    database = flags.database
    if database is None:
        database = folder / "made.fasta"
        write_database(database, int(flags.size_gb * 1e9), sequences, flags.relatives)
    side = _Side(jackhmmer, flags.threads, database, folder)
    queries = [folder / f"query{number}.fasta" for number in range(len(sequences))]
    for path, sequence in zip(queries, sequences, strict=True):
        path.write_text(f">query\n{sequence}\n")
    for count in flags.passes:
        yield _in_turn(side, queries[:count], flags)


def _in_turn(side: _Side, queries: Sequence[Path], flags: argparse.Namespace) -> SearchTime:
    engine_seconds, seconds, scans = [], [], []
    survivors, equal = 0, True
    side.ours(queries[:1])  # Imports, and the file's first reading, count for neither side.
    for _ in range(flags.repeats):
        begun = time.perf_counter()
        expected = side.engine(queries)
        engine_seconds.append(time.perf_counter() - begun)
        begun = time.perf_counter()
        found, scan, survivors = side.ours(queries)
        seconds.append(time.perf_counter() - begun)
        scans.append(scan)
        equal = equal and found == expected
    return SearchTime(
        queries=len(queries),
        residues=flags.residues,
        engine_seconds=tuple(engine_seconds),
        seconds=tuple(seconds),
        scan_seconds=tuple(scans),
        survivors=survivors,
        rows_equal=equal,
    )


def search_table(times: Sequence[SearchTime]) -> str:
    """Returns the results as Markdown: seconds a query, medians of the repeats."""
    head = table_head(
        "Queries a pass",
        "jackhmmer, s a query",
        "af3opt, s a query",
        "of which the scan",
        "Speed-up",
        "Same bytes",
    )
    return "\n".join([*head, *(table_row(_cells(one)) for one in times)]) + "\n"


def _cells(one: SearchTime) -> list[str]:
    columns = (one.engine_seconds, one.seconds, one.scan_seconds)
    return [
        str(one.queries),
        *(f"{statistics.median(values) / one.queries:.2f}" for values in columns),
        f"{one.ratio:.1f}x",
        "yes" if one.rows_equal else "NO",
    ]


def main(argv: Sequence[str]) -> int:
    """Measures and prints; returns 1 if any alignment differed."""
    flags = _parse(argv)
    configure_logging(Verbosity(quiet=True))
    started = datetime.datetime.now().astimezone().isoformat(timespec="seconds")
    with tempfile.TemporaryDirectory(prefix="af3opt-bench-", dir=flags.scratch) as folder:
        times = list(measure(flags, Path(folder)))
    text = search_table(times)
    if flags.output is not None:
        content = {
            "started": started,
            "flags": {name: str(value) for name, value in vars(flags).items()},
            "host": describe_host(),
            "subject": describe_here(),
            "times": [dataclasses.asdict(one) for one in times],
        }
        atomic_write_text(flags.output, json.dumps(content, indent=2) + "\n")
        atomic_write_text(flags.output.with_suffix(".md"), text)
    sys.stdout.write(text)
    return 0 if all(one.rows_equal for one in times) else 1


def _parse(argv: Sequence[str]) -> argparse.Namespace:
    parser = CommandParser(prog="af3opt bench --suite=search --", description=__doc__)
    parser.add_argument("--size_gb", type=float, default=1.0, help="of the made database (1)")
    parser.add_argument("--database", type=Path, help="search this FASTA file instead")
    parser.add_argument("--residues", type=int, default=240, help="of a query (240)")
    parser.add_argument(
        "--relatives", type=float, default=1e-4, help="share of targets that are relatives (1e-4)"
    )
    parser.add_argument(
        "--passes", type=_counts, default=(1, 16), help="queries of a pass, by commas (1,16)"
    )
    parser.add_argument("--repeats", type=int, default=3, help="of each pass (3)")
    parser.add_argument("--threads", type=int, default=usable_threads(), help="of both sides")
    parser.add_argument("--jackhmmer", help="path of the program (the first on PATH)")
    parser.add_argument("--scratch", type=Path, help="directory for the made database")
    parser.add_argument("--output", type=Path, help="JSON file; Markdown goes beside it")
    return parser.parse_args(argv)


def _counts(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(","))
