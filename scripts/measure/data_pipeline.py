"""What a data pipeline costs beside its programs: each of the engine's functions, in turn.

    python -m scripts.measure.data_pipeline [--size_gb=0.1] [--relatives=0.03]
                                            [--residues=240] [--templates=20]

Makes four protein databases with relatives of one query, a database of template sequences
and their mmCIF files, and runs the engine's data pipeline for one chain with the exact
search in force. The seconds are those of the processor. The engine's functions run on one
core whatever the machine has; the scan and the programs share out their work.

Real databases are hundreds of times as large and have no more relatives, so there the
searches take a greater share than here.
"""

import argparse
import collections
import contextlib
import dataclasses
import functools
import os
import resource
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from af3opt.base.logs import Verbosity, configure_logging
from af3opt.benchmarks.made_proteins import made_protein, write_database
from af3opt.benchmarks.markdown_rows import table_head, table_row
from af3opt.data.bootstrap import bootstrap_engine
from af3opt.engine.modules import engine_module
from af3opt.engine.msa import DataPipeline
from af3opt.execution.searching import faster_searches
from af3opt.settings.settings import Settings, resolve_settings

_PROTEIN = ("uniref90", "mgnify", "small_bfd", "uniprot_cluster_annot")
_RNA = ("ntrna", "rfam", "rna_central")
# Module, class or none, function. A function's seconds are without those of others listed.
_FUNCTIONS = (
    ("data.parsers", None, "convert_stockholm_to_a3m"),
    ("data.parsers", None, "parse_fasta"),
    ("data.msa", "Msa", "__init__"),
    ("data.msa", "Msa", "to_a3m"),
    ("data.tools.hmmbuild", "Hmmbuild", "build_profile_from_a3m"),
    ("data.templates", None, "_parse_hit_metadata"),
    ("data.templates", "Templates", "from_hmmsearch_a3m"),
    ("data.templates", "Templates", "get_hits_with_structures"),
    ("structure", "Structure", "to_mmcif"),
)
_RUN = ("data.tools.subprocess_utils", None, "run")
# Not a function of the engine's: what runs inside it is the scan, counted with the rest.
_SEARCHING = "run"
# Relatives come from this many parents, each the query with some insertions.
_PARENTS, _INSERTIONS, _MOST_INSERTED = 1000, 3, 30


class Clock:
    """Processor seconds and calls of functions; what a function calls counts for itself."""

    def __init__(self) -> None:
        self.seconds: collections.Counter[str] = collections.Counter()
        self.calls: collections.Counter[str] = collections.Counter()
        self._inner = threading.local()
        self._lock = threading.Lock()

    def timed(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Returns the function with its time taken."""

        @functools.wraps(function)
        def run(*arguments: Any, **options: Any) -> Any:
            outside = getattr(self._inner, "seconds", 0.0)
            self._inner.seconds = 0.0
            begun = time.thread_time()
            try:
                return function(*arguments, **options)
            finally:
                took = time.thread_time() - begun
                with self._lock:
                    self.seconds[name] += took - self._inner.seconds
                    self.calls[name] += 1
                self._inner.seconds = outside + took

        return run


@contextlib.contextmanager
def timed_functions(clock: Clock) -> Iterator[None]:
    """Takes the time of the engine's functions inside the block."""
    with contextlib.ExitStack() as undo:
        for module, owner, name in (*_FUNCTIONS, _RUN):
            place = engine_module(module)
            place = getattr(place, owner) if owner else place
            held = vars(place)[name]
            bound = isinstance(held, classmethod)
            label = f"{owner}.{name}" if owner else name
            timed = clock.timed(label, held.__func__ if bound else held)
            undo.callback(setattr, place, name, held)
            setattr(place, name, classmethod(timed) if bound else timed)
        yield


@dataclasses.dataclass(frozen=True, slots=True)
class Measured:
    """One run of the data pipeline.

    Attributes:
        wall: Seconds in all.
        programs: Processor seconds of the programs that the engine started.
        process: Processor seconds of this process: the scan and the engine's functions.
        rows: Rows of the unpaired and the paired MSA, with the query's.
        templates: Templates that were kept.
        aside: Why the exact search stepped aside; empty where it never did.
    """

    wall: float
    programs: float
    process: float
    rows: tuple[int, int]
    templates: int
    aside: tuple[str, ...]


def measure(settings: Settings, query: str, clock: Clock) -> Measured:
    """Runs the engine's data pipeline for one protein chain."""
    chain = engine_module("common.folding_input").ProteinChain(id="A", sequence=query, ptms=[])
    pipeline = DataPipeline(settings)
    pipeline.check()
    with faster_searches(settings) as searches, timed_functions(clock):
        before, begun = _processor_seconds(), time.monotonic()
        filled: Any = pipeline.search_protein(chain)
        wall, after = time.monotonic() - begun, _processor_seconds()
    rows = (filled.unpaired_msa.count(">"), filled.paired_msa.count(">"))
    programs, process = (end - start for end, start in zip(after, before, strict=True))
    exact = searches.exact
    aside = ("it is not in force",) if exact is None else tuple(sorted(exact.said))
    return Measured(wall, programs, process, rows, len(filled.templates), aside)


def _processor_seconds() -> tuple[float, float]:
    """Of ended child processes, and of this one."""
    used = map(resource.getrusage, (resource.RUSAGE_CHILDREN, resource.RUSAGE_SELF))
    programs, process = (one.ru_utime + one.ru_stime for one in used)
    return programs, process


def make_case(folder: Path, template: Path, flags: argparse.Namespace) -> tuple[Settings, str]:
    """Writes databases and template files; returns the settings that name them, and a query.

    Args:
        folder: Where they go.
        template: An mmCIF file of one chain; its sequence becomes a part of the query.
        flags: Of this script.
    """
    motif = _sequence(template)
    generator = np.random.default_rng(1)
    before = made_protein(generator, max(0, flags.residues - len(motif)) // 2)
    after = made_protein(generator, max(0, flags.residues - len(motif) - len(before)))
    query = before + motif + after
    parents = [_with_insertions(generator, query) for _ in range(_PARENTS)]
    named = []
    for seed, name in enumerate(_PROTEIN):
        path = folder / f"{name}.fasta"
        write_database(path, int(flags.size_gb * 1e9), parents, flags.relatives, seed)
        named.append(f"--{name}_database_path={path}")
    unused = folder / f"{_PROTEIN[0]}.fasta"
    named += [f"--{name}_database_path={unused}" for name in _RNA]
    structures = _make_templates(folder, template, motif, flags.templates)
    named += [
        f"--seqres_database_path={folder / 'seqres.fasta'}",
        *(f"--pdb_database_path={structures}", f"--output_dir={folder / 'output'}"),
    ]
    return resolve_settings(named, os.environ), query


def _with_insertions(generator: np.random.Generator, query: str) -> str:
    """A query with stretches of random residues put in: each widens the alignment."""
    for _ in range(_INSERTIONS):
        place = int(generator.integers(len(query)))
        stretch = made_protein(generator, int(generator.integers(1, _MOST_INSERTED + 1)))
        query = query[:place] + stretch + query[place:]
    return query


def _make_templates(folder: Path, template: Path, sequence: str, count: int) -> Path:
    structures = folder / "mmcif_files"
    structures.mkdir()
    text = template.read_text()
    records = []
    for number in range(count):
        name = f"{number + 1:04d}"
        renamed = text.replace(template.stem.upper(), name)
        (structures / f"{name}.cif").write_text(renamed)
        title = f">{name}_A mol:protein length:{len(sequence)}  MADE"
        records.append(f"{title}\n{sequence}\n")
    (folder / "seqres.fasta").write_text("".join(records))
    return structures


def _sequence(mmcif: Path) -> str:
    structure = engine_module("structure").from_mmcif(mmcif.read_text())
    [sequence] = structure.polymer_author_chain_single_letter_sequence().values()
    return str(sequence)


def as_markdown(measured: Measured, clock: Clock) -> str:
    """A table with a line for each function, and each one's share of the searching."""
    functions = {name: took for name, took in clock.seconds.items() if name != _SEARCHING}
    # What this process did outside the engine's functions: the scan and the profiles.
    scan = measured.process - sum(functions.values())
    searching = measured.programs + scan
    lines = table_head("", "calls", "seconds", "of the searching")
    lines.append(table_row(("the programs", "", f"{measured.programs:.2f}", "")))
    lines.append(table_row(("scan, profiles and the rest", "", f"{scan:.2f}", "")))
    for name, took in sorted(functions.items(), key=lambda one: -one[1]):
        share = f"{100 * took / searching:.1f} %"
        lines.append(table_row((f"`{name}`", str(clock.calls[name]), f"{took:.3f}", share)))
    total = sum(functions.values())
    share = f"{100 * total / searching:.1f} %"
    lines.append(table_row(("all functions", "", f"{total:.3f}", share)))
    return "".join(f"{line}\n" for line in lines)


def main(argv: Sequence[str]) -> int:
    """Prints what ran and the table, in Markdown."""
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--size_gb", type=float, default=0.1, help="of each database")
    parser.add_argument("--relatives", type=float, default=0.03, help="share of the targets")
    parser.add_argument("--residues", type=int, default=240, help="of the query")
    parser.add_argument("--templates", type=int, default=20, help="mmCIF files")
    parser.add_argument(
        "--template",
        type=Path,
        default=Path("tests/testdata/databases/mmcif_files/9zzz.cif"),
        help="an mmCIF file of one chain",
    )
    flags = parser.parse_args(argv)
    configure_logging(Verbosity(quiet=True))
    bootstrap_engine()
    clock = Clock()
    with tempfile.TemporaryDirectory(prefix="af3opt-pipeline-") as folder:
        settings, query = make_case(Path(folder), flags.template, flags)
        measured = measure(settings, query, clock)
    unpaired, paired = measured.rows
    sys.stdout.write(
        f"{len(query)} residues, 4 databases of {flags.size_gb} GB; {unpaired} unpaired and "
        f"{paired} paired rows, {measured.templates} template(s) of {flags.templates}; "
        f"{measured.wall:.1f} s in all\n"
    )
    for reason in measured.aside:
        sys.stdout.write(f"The exact search stepped aside: {reason}\n")
    sys.stdout.write("\n")
    sys.stdout.write(as_markdown(measured, clock))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
