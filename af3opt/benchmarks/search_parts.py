"""The parts of `af3opt bench --suite=search`: each adds what it has measured to a result."""

import argparse
import dataclasses
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from af3opt.base.errors import SetupError
from af3opt.benchmarks.made_proteins import made_protein, write_database
from af3opt.benchmarks.search_pipeline import PipelineCase, pipeline_options
from af3opt.benchmarks.search_result import (
    LIMITED,
    ONE,
    PASS,
    PIPELINE,
    Comparison,
    CurvePoint,
    Memory,
    Rates,
    SearchResult,
)
from af3opt.benchmarks.search_sides import Searching
from af3opt.search.aside import Aside
from af3opt.search.kernel import instruction_set, vector_sets

_SEED = 1
# jackhmmer's filter costs next to nothing for it: reading the file is what takes time.
_SHORT_QUERY = 31
_COPY_BYTES = 1 << 24


@dataclasses.dataclass(frozen=True, slots=True)
class SearchCase:
    """What is searched.

    Attributes:
        flags: Of the suite.
        full: How the whole database is searched.
        limited: How a part of it is searched with a limited reader.
        queries: FASTA files.
        isas: Instruction sets, best first.
    """

    flags: argparse.Namespace
    full: Searching
    limited: Searching
    queries: Sequence[Path]
    isas: Sequence[str]

    @property
    def best(self) -> str:
        """The instruction set that is used by default."""
        return self.isas[0]


# A part adds what it has measured to the result.
type _Part = Callable[[SearchCase, SearchResult], SearchResult]


def _one(case: SearchCase, result: SearchResult) -> SearchResult:
    queries, repeats = case.queries[:1], case.flags.repeats
    return _with(result, _compare(ONE, case.full, queries, case.isas, repeats))


def _pass(case: SearchCase, result: SearchResult) -> SearchResult:
    queries, repeats = case.queries[: case.flags.queries], case.flags.pass_repeats
    return _with(result, _compare(PASS, case.full, queries, case.isas[:1], repeats))


def _limited(case: SearchCase, result: SearchResult) -> SearchResult:
    queries, repeats = case.queries[: case.flags.queries], case.flags.pass_repeats
    return _with(result, _compare(LIMITED, case.limited, queries, case.isas[:1], repeats))


def _compare(
    what: str, searching: Searching, queries: Sequence[Path], isas: Sequence[str], repeats: int
) -> list[Comparison]:
    """Searches with the engine and with each instruction set, in turn."""
    engine, ours = _in_turn(
        lambda: searching.engine(queries), lambda isa: searching.ours(queries, isa), isas, repeats
    )
    return [
        Comparison(
            what=what,
            isa=isa,
            queries=len(queries),
            gigabytes=_gigabytes(searching.database),
            megabytes_per_second=_megabytes(searching),
            engine_seconds=tuple(took.seconds for took in engine),
            seconds=tuple(answer.seconds for answer in measured.answers),
            scan_seconds=tuple(answer.scan_seconds for answer in measured.answers),
            survivors=measured.answers[-1].survivors,
            same_bytes=measured.same_bytes,
        )
        for isa, measured in ours.items()
    ]


@dataclasses.dataclass(slots=True)
class _Measured[Answer]:
    """One instruction set's answers, a repeat each, and whether all results were the engine's."""

    answers: list[Answer]
    same_bytes: bool


def _in_turn[Result, Took, Answer](
    engine: Callable[[], tuple[Result, Took]],
    ours: Callable[[str], tuple[Result, Answer]],
    isas: Sequence[str],
    repeats: int,
) -> tuple[list[Took], dict[str, _Measured[Answer]]]:
    """Lets the engine and each instruction set search, one after the other, and compares."""
    engine_took: list[Took] = []
    measured: dict[str, _Measured[Answer]] = {isa: _Measured([], True) for isa in isas}
    for _ in range(repeats):
        expected, took = engine()
        engine_took.append(took)
        for isa, one in measured.items():
            found, answer = ours(isa)
            one.answers.append(answer)
            one.same_bytes = one.same_bytes and found == expected
    return engine_took, measured


def _pipeline(case: SearchCase, result: SearchResult) -> SearchResult:
    flags = case.flags
    folder = case.full.folder / "pipeline"
    query = case.queries[0].read_text().split("\n")[1]
    options = pipeline_options(case.full.jackhmmer, flags.threads)
    made = PipelineCase(folder, query, int(flags.pipeline_gb * 1e9), flags.relatives, options)
    engine, ours = _in_turn(lambda: made.run(None), made.run, case.isas, flags.repeats)
    shutil.rmtree(folder)
    compared = (
        Comparison(
            what=PIPELINE,
            isa=isa,
            queries=1,
            gigabytes=made.gigabytes,
            engine_seconds=tuple(engine),
            seconds=tuple(measured.answers),
            same_bytes=measured.same_bytes,
        )
        for isa, measured in ours.items()
    )
    return _with(result, list(compared))


def _curve(case: SearchCase, result: SearchResult) -> SearchResult:
    points = [
        CurvePoint(
            queries=count,
            gigabytes=_gigabytes(searching.database),
            megabytes_per_second=_megabytes(searching),
            seconds=searching.ours(case.queries[:count], case.best)[1].seconds,
        )
        for searching in (case.full, case.limited)
        for count in case.flags.curve
    ]
    return dataclasses.replace(result, curve=tuple(points))


def _rates(case: SearchCase, result: SearchResult) -> SearchResult:
    short = case.full.folder / "short.fasta"
    short.write_text(f">query\n{made_protein(np.random.default_rng(2), _SHORT_QUERY)}\n")
    names = ("one_thread", "all_threads", "read", "parser", "engine", "survivors")
    took: dict[str, list[float]] = {name: [] for name in names}
    query = case.queries[:1]
    for _ in range(case.flags.repeats):
        for name, threads in (("one_thread", 1), ("all_threads", case.full.threads)):
            scan = case.full.measured("scan", query, isa=case.best, threads=threads)
            took[name].append(scan.seconds)
        took["read"].append(case.full.measured("read", query, isa=case.best).seconds)
        took["parser"].append(case.full.engine([short])[1].seconds)
        took["engine"].append(case.full.engine(query)[1].processor_seconds)
        took["survivors"].append(case.full.ours(query, case.best)[1].program_seconds)
    rates = Rates(
        gigabytes=_gigabytes(case.full.database),
        one_thread=tuple(took["one_thread"]),
        all_threads=tuple(took["all_threads"]),
        read=tuple(took["read"]),
        parser=tuple(took["parser"]),
        engine_processor=tuple(took["engine"]),
        survivors_processor=tuple(took["survivors"]),
    )
    return dataclasses.replace(result, rates=rates)


def _memory(case: SearchCase, result: SearchResult) -> SearchResult:
    queries = case.queries[: case.flags.queries]
    answer = case.full.ours(queries, case.best)[1]
    memory = Memory(queries=len(queries), survivors=answer.survivors, peak_bytes=answer.peak_bytes)
    return dataclasses.replace(result, memory=memory)


PARTS: Mapping[str, _Part] = {
    "one": _one,
    "rates": _rates,
    "memory": _memory,
    "pipeline": _pipeline,
    "limited": _limited,
    "curve": _curve,
    "pass": _pass,
}


def _with(result: SearchResult, found: Sequence[Comparison]) -> SearchResult:
    return dataclasses.replace(result, comparisons=(*result.comparisons, *found))


def make_case(flags: argparse.Namespace, jackhmmer: str, folder: Path) -> SearchCase:
    """Makes queries and databases.

    Args:
        flags: Of the suite.
        jackhmmer: The program.
        folder: Where they go.

    Raises:
        SetupError: the compiled part is missing, or cannot be used here.
    """
    usable = instruction_set(os.environ)
    if isinstance(usable, Aside):
        raise SetupError(f"the search steps aside: {usable.reason}")
    generator = np.random.default_rng(_SEED)
    count = max((flags.queries, *flags.curve))
    sequences = [made_protein(generator, flags.residues) for _ in range(count)]
    queries = [folder / f"query{number}.fasta" for number in range(count)]
    for path, sequence in zip(queries, sequences, strict=True):
        path.write_text(f">query\n{sequence}\n")
    database = flags.database
    if database is None:
        database = folder / "made.fasta"
        # Each query gets its share.
        write_database(database, int(flags.size_gb * 1e9), sequences, flags.relatives * count)
    part = folder / "part.fasta"
    _copy_start(database, part, int(flags.limited_gb * 1e9))
    full = Searching(jackhmmer=jackhmmer, threads=flags.threads, database=database, folder=folder)
    # What is first read would otherwise count for who reads it first.
    full.measured("read", queries[:1], isa=usable)
    limited = dataclasses.replace(full, database=part, bytes_per_second=flags.mb_s * 1e6)
    return SearchCase(flags, full, limited, queries, vector_sets())


def _copy_start(source: Path, target: Path, size: int) -> None:
    """Copies whole records from the start of a FASTA file, about a number of bytes."""
    with source.open("rb") as reading, target.open("wb") as writing:
        while size > 0 and (block := reading.read(min(size, _COPY_BYTES))):
            writing.write(block)
            size -= len(block)
        for line in reading:
            if line.startswith(b">"):
                return
            writing.write(line)


def _gigabytes(path: Path) -> float:
    return path.stat().st_size / 1e9


def _megabytes(searching: Searching) -> float | None:
    limit = searching.bytes_per_second
    return None if limit is None else limit / 1e6
