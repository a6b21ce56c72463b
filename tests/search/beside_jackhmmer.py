"""The same search twice: by jackhmmer over everything, and by jackhmmer after a scan."""

import dataclasses
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from af3opt.search import jackhmmer
from af3opt.search.aside import Aside

# Further programs to compare with, separated by colons; read before the environment is cleared.
OTHERS = os.environ.get("AF3OPT_TEST_JACKHMMERS", "")
PROGRAMS = [program for program in (shutil.which("jackhmmer"), *OTHERS.split(":")) if program]
THREADS = 2


def has_limit(program):
    """Does a jackhmmer have DeepMind's --seq_limit?"""
    done = subprocess.run([program, "-h"], capture_output=True, text=True, check=True)
    return "--seq_limit" in done.stdout


# The engine's options, with and without its Z values, and both ends of what may come.
OPTION_SETS = {
    "engine": "--F1 0.0005 --F2 5e-05 --F3 5e-07 -E 0.0001 --incE 0.0001",
    "z": "--F1 0.0005 --F2 5e-05 --F3 5e-07 -E 0.0001 --incE 0.0001 -Z 138515945 --domZ 138515945",
    "loose": "-E 10 --incE 10 --domE 1000",
    "strict": "--F1 1e-6 -E 1e-10 --incE 1e-10",
}


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What two searches gave.

    Attributes:
        same: The alignments are equal to the byte, the tables up to their padding.
        hits: Rows of the alignment without the query.
        survivors: Targets that the scan kept, or None if the search stepped aside.
        targets: Targets of the database.
        reason: Why it stepped aside, or None.
        failed: jackhmmer failed over everything; `same` says that it did after the scan.
    """

    same: bool
    hits: int
    survivors: int | None
    targets: int
    reason: str | None = None
    failed: bool = False


def command(program, folder, name, query, database, options):
    """A jackhmmer command that leaves NAME.sto and NAME.tbl in a folder."""
    return [
        *(program, "-o", "/dev/null", "-A", str(folder / f"{name}.sto"), "--noali"),
        *("--tblout", str(folder / f"{name}.tbl"), "--cpu", str(THREADS), "-N", "1"),
        *(*options.split(), str(query), str(database)),
    ]


def compare(program, sequence, database, options=OPTION_SETS["engine"]):
    """Searches twice and compares what is left behind."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        query = folder / "query.fasta"
        query.write_text(f">query\n{sequence}\n")
        full_command = command(program, folder, "full", query, database, options)
        failed = subprocess.run(full_command, check=False, capture_output=True).returncode != 0
        ours = command(program, folder, "ours", query, database, options)
        prepared = jackhmmer.prepare_search(ours, {})
        if isinstance(prepared, Aside):
            return Outcome(True, 0, None, 0, prepared.reason)
        restricted = jackhmmer.restrict_searches([prepared], folder, THREADS)
        if isinstance(restricted, Aside):
            return Outcome(True, 0, None, 0, restricted.reason)
        if failed:
            return _both_fail(restricted[0])
        jackhmmer.run_jackhmmer(restricted[0].command)
        full = (folder / "full.sto").read_bytes()
        same = full == (folder / "ours.sto").read_bytes()
        same = same and _table(folder / "full.tbl") == _table(folder / "ours.tbl")
        # A long alignment is wrapped: every row comes several times.
        rows = {line.split()[0] for line in full.splitlines() if line.strip()}
        hits = sum(not row.startswith((b"#", b"//")) for row in rows)
        return Outcome(same, hits - 1, restricted[0].survivors, restricted[0].targets)


def _both_fail(restricted):
    try:
        jackhmmer.run_jackhmmer(restricted.command)
    except jackhmmer.JackhmmerError:
        return Outcome(True, 0, restricted.survivors, restricted.targets, failed=True)
    return Outcome(False, 0, restricted.survivors, restricted.targets, failed=True)


def _table(path):
    """Lines of a table without their padding, and without the command that made it."""
    lines = path.read_text(encoding="latin-1").splitlines()
    return [line.split() for line in lines if not line.startswith("#")]
