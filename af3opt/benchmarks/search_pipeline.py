"""The data pipeline of one chain over four databases, with and without the exact scan.

Both sides are the same `af3opt run --norun_inference`, one with `--noexact_search`: the engine
then starts its four jackhmmers side by side, as always.
"""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

from af3opt.base.child_process import module_command
from af3opt.base.errors import SetupError
from af3opt.base.paths import af3opt_home
from af3opt.benchmarks.comparison import child_environ
from af3opt.benchmarks.made_proteins import write_database
from af3opt.benchmarks.process import run_measured
from af3opt.caching.locations import open_cache
from af3opt.search.kernel import ISA_VARIABLE

_PROTEIN = ("small_bfd", "mgnify", "uniprot_cluster_annot", "uniref90")
# Not searched for a protein, but they have to be there.
_RNA = ("ntrna", "rfam", "rna_central")
# Searched in no time, and without a hit.
_TEMPLATES = ">0001_A mol:protein length:20  MADE\n" + 20 * "A" + "\n"
_NAME = "measured"


class PipelineCase:
    """One chain and its databases."""

    def __init__(
        self, folder: Path, query: str, size: int, relatives: float, options: Sequence[str]
    ) -> None:
        """Makes the databases.

        Args:
            folder: Where everything goes.
            query: The chain's sequence.
            size: Bytes of each of the four databases.
            relatives: Share of their targets that are relatives.
            options: Further flags of `af3opt run`.
        """
        self._folder = folder
        self._flags = [*options, f"--pdb_database_path={folder / 'mmcif_files'}"]
        (folder / "mmcif_files").mkdir(parents=True)
        for seed, name in enumerate(_PROTEIN):
            write_database(folder / f"{name}.fasta", size, [query], relatives, seed)
        for name in (*_RNA, "seqres"):
            (folder / f"{name}.fasta").write_text(_TEMPLATES)
        for name in (*_PROTEIN, *_RNA, "seqres"):
            self._flags.append(f"--{name}_database_path={folder / f'{name}.fasta'}")
        self.gigabytes = sum((folder / f"{name}.fasta").stat().st_size for name in _PROTEIN) / 1e9
        chain = {"protein": {"id": "A", "sequence": query}}
        content = {
            "name": _NAME,
            "modelSeeds": [1],
            "sequences": [chain],
            "dialect": "alphafold3",
            "version": 1,
        }
        (folder / "input.json").write_text(json.dumps(content))

    def run(self, isa: str | None) -> tuple[bytes, float]:
        """Runs it once, from nothing.

        Args:
            isa: Instruction set of the scan; None for the engine's own searches.

        Returns:
            What the data pipeline wrote, and the seconds of the chain's searches, as the MSA
            cache notes them.

        Raises:
            SetupError: it failed, or did not search in the wanted way.
        """
        output, cache = self._folder / "out", self._folder / "cache"
        for folder in (output, cache):
            shutil.rmtree(folder, ignore_errors=True)
        command = [
            *(*module_command("af3opt"), "run", f"--json_path={self._folder / 'input.json'}"),
            *(f"--output_dir={output}", f"--msa_cache_dir={cache}", "--norun_inference"),
            *(self._flags if isa is not None else [*self._flags, "--noexact_search"]),
        ]
        environ = child_environ(af3opt_home()) | ({ISA_VARIABLE: isa} if isa is not None else {})
        log = self._folder / "run.log"
        run_measured(command, environ, log, folder=self._folder)
        if isa is not None and log.read_text().count("Scanned ") != len(_PROTEIN):
            raise SetupError(f"the data pipeline did not scan {len(_PROTEIN)} databases; see {log}")
        [entry] = open_cache("msa", cache).entries()
        assert entry.header is not None
        seconds = float(entry.header.information["seconds"])
        return (output / _NAME / f"{_NAME}_data.json").read_bytes(), seconds


def pipeline_options(jackhmmer: str, threads: int) -> list[str]:
    """Flags of `af3opt run` that say what it searches with."""
    return [f"--jackhmmer_binary_path={jackhmmer}", f"--jackhmmer_n_cpu={min(threads, 8)}"]
