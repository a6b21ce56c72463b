"""The two sides of a measured search: the engine's jackhmmer, and the scan ahead of it."""

import dataclasses
import os
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from af3opt.base.child_process import module_command
from af3opt.base.errors import SetupError
from af3opt.base.json_files import from_json, to_json
from af3opt.benchmarks.read_limit import hold_back
from af3opt.benchmarks.search_child import READY, Answer, Request
from af3opt.search.kernel import ISA_VARIABLE

# What the engine passes, but for files, threads and Z.
_ENGINE_OPTIONS = (
    *("-o", "/dev/null", "--noali", "--F1", "0.0005", "--F2", "5e-05", "--F3", "5e-07"),
    *("-N", "1", "-E", "0.0001", "--incE", "0.0001"),
)


@dataclasses.dataclass(frozen=True, slots=True)
class Taken:
    """What the engine's searches took.

    Attributes:
        seconds: From the first's start to the last's end.
        processor_seconds: Of all programs.
    """

    seconds: float
    processor_seconds: float


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Searching:
    """How one database is searched.

    Attributes:
        jackhmmer: The program.
        threads: Threads of either side.
        database: The FASTA file.
        folder: Where survivors go.
        bytes_per_second: How fast either side may read; None for as fast as it can.
    """

    jackhmmer: str
    threads: int
    database: Path
    folder: Path
    bytes_per_second: float | None = None

    def engine(self, queries: Sequence[Path]) -> tuple[list[bytes], Taken]:
        """Searches one query after the other, as the engine does.

        Returns:
            The alignments, and what it took.
        """
        begun, before = time.perf_counter(), _programs_seconds()
        for query in queries:
            self._run(self._command(query))
        took = Taken(time.perf_counter() - begun, _programs_seconds() - before)
        return _alignments(queries), took

    def ours(self, queries: Sequence[Path], isa: str) -> tuple[list[bytes], Answer]:
        """Searches all queries in one pass, in a process of its own.

        Args:
            queries: At least one.
            isa: Instruction set of the scan.

        Returns:
            The alignments, and what it took.
        """
        for query in queries:
            query.with_suffix(".sto").unlink(missing_ok=True)
        answer = self.measured("search", queries, isa=isa)
        return _alignments(queries), answer

    def measured(
        self, task: str, queries: Sequence[Path], *, isa: str, threads: int | None = None
    ) -> Answer:
        """Has a process of its own do one thing, see `search_child`.

        Raises:
            SetupError: it failed.
        """
        request = Request(
            task=task,
            commands=tuple(tuple(self._command(query)) for query in queries),
            folder=self.folder,
            threads=threads or self.threads,
        )
        child = subprocess.Popen(
            module_command("af3opt.benchmarks.search_child"),
            env={**os.environ, ISA_VARIABLE: isa},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert child.stdin is not None
        assert child.stdout is not None
        assert child.stderr is not None
        with child:
            if child.stdout.readline() == READY:
                child.stdin.write(to_json(request))
                child.stdin.close()
                if self.bytes_per_second is not None:
                    hold_back(child, self.bytes_per_second)
            said, errors = child.stdout.read(), child.stderr.read()
        answer = from_json(said, Answer)
        if answer is None:
            raise SetupError(" ".join(errors.decode(errors="replace").split())[-500:])
        return answer

    def _command(self, query: Path) -> list[str]:
        options = ("-A", str(query.with_suffix(".sto")), *_ENGINE_OPTIONS)
        threads = ("--cpu", str(self.threads))
        return [self.jackhmmer, *options, *threads, str(query), str(self.database)]

    def _run(self, command: Sequence[str]) -> None:
        quiet = subprocess.DEVNULL
        try:
            program = subprocess.Popen(command, stdin=quiet, stdout=quiet, stderr=quiet)
        except OSError as error:
            raise SetupError(f"{command[0]}: cannot be started: {error.strerror}") from error
        with program:
            if self.bytes_per_second is not None:
                hold_back(program, self.bytes_per_second)
        if program.returncode:
            raise SetupError(f"exit code {program.returncode} from {' '.join(command)}")


def _alignments(queries: Sequence[Path]) -> list[bytes]:
    return [query.with_suffix(".sto").read_bytes() for query in queries]


def _programs_seconds() -> float:
    """Processor seconds of the child processes that have ended."""
    times = os.times()
    return times.children_user + times.children_system
