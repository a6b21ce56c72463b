"""jackhmmer on the survivors of a scan, with the full search's result.

A search is prepared from the very command that would search the whole database. Several
searches of one database share a scan; each then runs the site's own jackhmmer with its own
options on what the scan left over.

Why the result is the same: a target's score does not depend on the other targets, the
number of targets is handed over, and the order of the targets is the database's.
"""

import contextlib
import dataclasses
import errno
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from af3opt.base.errors import SetupError
from af3opt.search.aside import Aside
from af3opt.search.command_line import CommandLine, check_version
from af3opt.search.kernel import PreparedQuery, instruction_set, prepare_query
from af3opt.search.profile import build_profile
from af3opt.search.scan import Progress, Scan, scan_file
from af3opt.search.targets import TargetFile, not_plain_fasta
from af3opt.search.whole import check_jackhmmer

# HMMER counts a target without residues and searches nothing in it, but refuses an empty file.
_NO_TARGET = b">no_target_passes_the_first_filter\n"
_WRITE_BYTES = 1 << 20
_MOST_OF_MESSAGE = 500


class JackhmmerError(SetupError):
    """jackhmmer failed."""


@dataclasses.dataclass(frozen=True, slots=True)
class PreparedSearch:
    """A command and its query, ready for a scan.

    Attributes:
        line: The command.
        query: The query, as the compiled part needs it.
    """

    line: CommandLine
    query: PreparedQuery


@dataclasses.dataclass(frozen=True, slots=True)
class RestrictedSearch:
    """A search of the survivors.

    Attributes:
        command: Gives the full search's result; only the padding of `--tblout` may differ.
        survivors: Targets it searches.
        targets: Targets of the database.
        size: Bytes of the survivors' file.
    """

    command: list[str]
    survivors: int
    targets: int
    size: int

    @property
    def survivors_file(self) -> Path:
        """The FASTA file that it searches."""
        return Path(self.command[-1])

    def is_complete(self) -> bool:
        """Whether the survivors are there, all of them: cleaners remove temporary files."""
        try:
            return self.survivors_file.stat().st_size == self.size
        except OSError:
            return False


def prepare_search(command: Sequence[str], environ: Mapping[str, str]) -> PreparedSearch | Aside:
    """Prepares the search that a jackhmmer command asks for.

    Args:
        command: Program, options, path of the query and path of one FASTA file.
        environ: Environment variables of this process.
    """
    line = CommandLine.parse(command)
    if isinstance(line, Aside):
        return line
    isa = instruction_set(environ)
    if isinstance(isa, Aside):
        return isa
    aside = not_plain_fasta(Path(line.database)) or check_version(line)
    if aside is not None:
        return aside
    sequence = _query_sequence(Path(line.query))
    profile = sequence if isinstance(sequence, Aside) else build_profile(sequence, line.f1)
    if isinstance(profile, Aside):
        return profile
    return PreparedSearch(line, prepare_query(profile, isa))


def restrict_searches(
    searches: Sequence[PreparedSearch],
    folder: Path,
    threads: int,
    report: Callable[[Progress], None] = lambda _: None,
) -> list[RestrictedSearch] | Aside:
    """Scans a database once for several searches.

    Args:
        searches: At least one; all of the same database.
        folder: Where the survivors go; the caller's to remove.
        threads: Threads to use.
        report: Called after every span of the scan.

    Raises:
        DatabaseError: the database cannot be read, or changed meanwhile.
    """
    path = Path(searches[0].line.database)
    queries = [search.query for search in searches]
    files = [folder / f"survivors-{index}.fasta" for index in range(len(searches))]
    with contextlib.ExitStack() as stack:
        database = stack.enter_context(TargetFile(path))
        try:
            sinks = [stack.enter_context(file.open("wb", _WRITE_BYTES)) for file in files]
            scan = scan_file(database, queries, sinks, threads, report)
            if isinstance(scan, Aside):
                return scan
            sizes = []
            for sink, survivors in zip(sinks, scan.survivors, strict=True):
                if not survivors:
                    sink.write(_NO_TARGET)
                sizes.append(sink.tell())
                sink.close()
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                return Aside(f"{folder.parent} has no space for the survivors")
            if not folder.exists():
                return Aside(f"{folder.parent} was cleaned up while the database was scanned")
            raise
    return _restricted(searches, files, sizes, scan)


def run_jackhmmer(command: Sequence[str]) -> None:
    """Runs a jackhmmer command and checks that its files are complete.

    Raises:
        JackhmmerError: it failed.
        IncompleteResultError: a file was cut off.
    """
    try:
        done = subprocess.run(command, capture_output=True, check=False)
    except OSError as error:
        raise JackhmmerError(f"{command[0]} cannot be started: {error.strerror}") from error
    if done.returncode != 0:
        how = f"exit code {done.returncode}"
        if done.returncode < 0:
            how = f"killed by signal {-done.returncode}"
        said = " ".join((done.stderr or done.stdout).decode(errors="replace").split())
        said = said[-_MOST_OF_MESSAGE:] or "it said nothing"
        raise JackhmmerError(f"{command[0]} failed ({how}): {said}")
    check_jackhmmer(command)


def _restricted(
    searches: Sequence[PreparedSearch], files: Sequence[Path], sizes: Sequence[int], scan: Scan
) -> list[RestrictedSearch]:
    return [
        RestrictedSearch(search.line.restricted(file, scan.targets), survivors, scan.targets, size)
        for search, file, survivors, size in zip(
            searches, files, scan.survivors, sizes, strict=True
        )
    ]


def _query_sequence(path: Path) -> str | Aside:
    """Reads the one sequence of a FASTA file."""
    try:
        text = path.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError) as error:
        return Aside(f"the query cannot be read ({error})")
    header, _, lines = text.partition("\n")
    if not header.startswith(">") or not header[1:].split() or ">" in lines or "\r" in header:
        return Aside("the query is not one FASTA record")
    return "".join(lines.split())
