"""What `af3opt bench --suite=search` found out, as a file and as tables."""

import dataclasses
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path

from af3opt.base.errors import InputError
from af3opt.base.json_files import read_json, write_json
from af3opt.base.json_types import Json
from af3opt.benchmarks.markdown_rows import table_head, table_row

ONE, PASS, LIMITED, PIPELINE = "one query", "one pass", "limited reader", "data pipeline"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """The same searches by both sides, in turn.

    Attributes:
        what: ONE, PASS, LIMITED or PIPELINE.
        isa: Instruction set of the scan.
        queries: Their number; the engine searches them one after the other.
        gigabytes: Of the database, or of all databases.
        megabytes_per_second: What either side might read; None for as much as it could.
        engine_seconds: The engine's jackhmmer, one entry a repeat.
        seconds: The scan and jackhmmer on the survivors.
        scan_seconds: The scan's part, profiles included; none for PIPELINE.
        survivors: Targets left over, of all queries; 0 for PIPELINE.
        same_bytes: Whether all results were the same to the byte in every repeat.
    """

    what: str
    isa: str
    queries: int
    gigabytes: float
    megabytes_per_second: float | None = None
    engine_seconds: tuple[float, ...]
    seconds: tuple[float, ...]
    scan_seconds: tuple[float, ...] = ()
    survivors: int = 0
    same_bytes: bool

    @property
    def ratio(self) -> float:
        """How many times as long the engine took: the median of the repeats' ratios."""
        pairs = zip(self.engine_seconds, self.seconds, strict=True)
        return statistics.median(engine / ours for engine, ours in pairs)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class CurvePoint:
    """One pass of a number of queries.

    Attributes:
        queries: In the pass.
        gigabytes: Of the database.
        megabytes_per_second: What it might read; None for as much as it could.
        seconds: The whole search of all queries.
    """

    queries: int
    gigabytes: float
    megabytes_per_second: float | None = None
    seconds: float


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """What single steps take, for calculating what other machines would.

    Attributes:
        gigabytes: Of the database that was read.
        one_thread: Seconds of the scan alone, one thread.
        all_threads: The same with all threads.
        read: Seconds to read the file from memory with all threads.
        parser: Seconds of jackhmmer with a query of 31 residues: its parser is the limit.
        engine_processor: Processor seconds of jackhmmer over everything.
        survivors_processor: Processor seconds of jackhmmer on the survivors.
    """

    gigabytes: float
    one_thread: tuple[float, ...]
    all_threads: tuple[float, ...]
    read: tuple[float, ...]
    parser: tuple[float, ...]
    engine_processor: tuple[float, ...]
    survivors_processor: tuple[float, ...]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """The largest resident set of the scanning process.

    Attributes:
        queries: In the pass.
        survivors: Targets that it wrote to files.
        peak_bytes: Of the process: Python, libraries, buffers, tables.
    """

    queries: int
    survivors: int
    peak_bytes: int


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SearchResult:
    """Everything that the suite found out.

    Attributes:
        command: The command that made it.
        started: Date and time, ISO 8601.
        host: See `describe.describe_host`.
        subject: Engine and versions, see `describe.describe_here`.
        jackhmmer: Version of HMMER.
        threads: Threads of either side.
        residues: Of each query.
        relatives: Share of the targets that are relatives of one query.
        comparisons: Both sides.
        curve: Passes of more and more queries.
        rates: Of single steps.
        memory: Of the scanning process.
    """

    command: str
    started: str
    host: Mapping[str, Json]
    subject: Mapping[str, Json]
    jackhmmer: str
    threads: int
    residues: int
    relatives: float
    comparisons: tuple[Comparison, ...] = ()
    curve: tuple[CurvePoint, ...] = ()
    rates: Rates | None = None
    memory: Memory | None = None

    @property
    def same_bytes(self) -> bool:
        """Whether no comparison found a difference."""
        return all(one.same_bytes for one in self.comparisons)


def write_search_result(result: SearchResult, path: Path) -> None:
    """Writes a result as JSON."""
    write_json(path, result)


def read_search_result(path: Path) -> SearchResult:
    """Reads a result back.

    Raises:
        InputError: the file is not one of `write_search_result`.
    """
    result = read_json(path, SearchResult)
    if result is None:
        raise InputError(f"{path}: not a result of af3opt bench --suite=search")
    return result


def format_search_result(result: SearchResult) -> str:
    """Returns the whole result as Markdown."""
    parts = [
        circumstances(result),
        comparison_table(result),
        _curve_table(result.curve),
        _steps_table(result),
        f"Made by `{result.command}` at {result.started}, with {result.jackhmmer}.",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def circumstances(result: SearchResult) -> str:
    """Says in one paragraph on what a result was measured."""
    return (
        f"{result.host.get('cpu')}, {result.threads} thread(s) on each side. A query has "
        f"{result.residues} residues. In a made database, {result.relatives:.2%} of the targets "
        "are homologs of each query. Seconds are medians; a speed-up is the median of the ratios "
        "of the repeats."
    )


def comparison_table(result: SearchResult) -> str:
    """Returns both sides: seconds per query, and whether the results were the same."""
    head = table_head(
        *("Search", "Instruction set", "GB", "Engine, s per query", "af3opt, s per query"),
        *("Scan, s per query", "Speed-up", "Same bytes"),
    )
    return "\n".join([*head, *(table_row(_cells(one)) for one in result.comparisons)])


def _cells(one: Comparison) -> list[str]:
    columns = (one.engine_seconds, one.seconds, one.scan_seconds)
    return [
        _search_name(one),
        one.isa,
        f"{one.gigabytes:.2g}",
        *(f"{_median(values) / one.queries:.2f}" if values else "" for values in columns),
        f"{one.ratio:.1f}x",
        "yes" if one.same_bytes else "NO",
    ]


def _search_name(one: Comparison) -> str:
    name = f"{one.queries} queries in one pass" if one.queries > 1 else "one query"
    if one.what == PIPELINE:
        name = "data pipeline, one chain, four databases"
    if one.megabytes_per_second is not None:
        name += f", {one.megabytes_per_second:g} MB/s to read"
    return name


def _curve_table(curve: Sequence[CurvePoint]) -> str:
    """Returns seconds a query and GB; a column for each speed of reading."""
    if not curve:
        return ""
    speeds = sorted({one.megabytes_per_second or 0.0 for one in curve})
    titles = [f"{speed:g} MB/s" if speed else "page cache" for speed in speeds]
    lines = table_head("Queries in a pass", *(f"{title}, s per query and GB" for title in titles))
    for queries in sorted({one.queries for one in curve}):
        row = {
            one.megabytes_per_second or 0.0: f"{one.seconds / queries / one.gigabytes:.2f}"
            for one in curve
            if one.queries == queries
        }
        lines.append(table_row([str(queries), *(row.get(speed, "") for speed in speeds)]))
    return "\n".join(lines)


def _steps_table(result: SearchResult) -> str:
    lines = []
    rates = result.rates
    if rates is not None:
        one, every = _median(rates.one_thread), _median(rates.all_threads)
        per_gb = rates.gigabytes
        lines += [
            ("scan alone, one thread", f"{one / per_gb:.2f} s per GB"),
            (
                f"scan alone, {result.threads} threads",
                f"{every / per_gb:.2f} s per GB ({one / every:.2f}x)",
            ),
            ("reading from memory", f"{per_gb / _median(rates.read):.1f} GB/s"),
            ("jackhmmer's parser", f"{per_gb / _median(rates.parser):.2f} GB/s"),
            (
                "jackhmmer on all targets",
                f"{_median(rates.engine_processor) / per_gb:.2f} processor seconds per GB",
            ),
            (
                "jackhmmer on the survivors",
                f"{_median(rates.survivors_processor) / per_gb:.2f} processor seconds per GB",
            ),
        ]
    if result.memory is not None:
        peak = f"{result.memory.peak_bytes / 1e6:.0f} MB"
        lines.append((f"memory of the scan, {result.memory.queries} queries", peak))
    return "\n".join([*table_head("Step", "Measured"), *map(table_row, lines)]) if lines else ""


def _median(values: Sequence[float]) -> float:
    return statistics.median(values)
