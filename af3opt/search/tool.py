"""The engine's jackhmmer searches, restricted to what an exact scan leaves over.

Class: exact. The engine starts every program through one function. Here it gets jackhmmer's
command with the survivors in place of the database, so that everything else stays the
engine's: options, conversions, errors. A command that is not understood runs as it is.
"""

import contextlib
import dataclasses
import importlib.util
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from af3opt.base.errors import SetupError
from af3opt.engine.known_functions import known
from af3opt.engine.patching import Patch, PatchSet
from af3opt.search.aside import Aside
from af3opt.search.jackhmmer import (
    PreparedSearch,
    RestrictedSearch,
    prepare_search,
)
from af3opt.search.kernel import instruction_set
from af3opt.search.passes import GONE, SharedPasses
from af3opt.search.targets import TargetFile
from af3opt.search.whole import NAME as WHOLE_RESULTS
from af3opt.search.whole import value_of

NAME = "exact_search"

_log = logging.getLogger(__name__)

# How the engine calls a command of jackhmmer's: "Jackhmmer (uniref90.fasta)".
_TOOL = "Jackhmmer"
# The rows of an alignment's first block are counted; no result of the engine's is larger.
_MOST_LINES = 2_000_000
# Of a chain, so that chains of one length can be told apart.
_SHOWN_RESIDUES = 10


@dataclasses.dataclass(slots=True, eq=False)
class ExactSearch:
    """What the searches of this process have in common.

    Attributes:
        passes: The scans.
        said: Reasons for stepping aside that the log has already.
        lock: Held while `said` is changed.
        programs: How many programs, each with threads of its own, may run at a time.
    """

    passes: SharedPasses
    programs: threading.BoundedSemaphore
    said: set[str] = dataclasses.field(default_factory=set)
    lock: threading.Lock = dataclasses.field(default_factory=threading.Lock)

    @classmethod
    def with_threads(cls, threads: int) -> "ExactSearch":
        """Makes searches that use a number of threads together."""
        return cls(SharedPasses(threads), threading.BoundedSemaphore(max(1, threads // 2)))

    def step_aside(self, reason: str) -> None:
        """Says once why the engine's own search runs."""
        with self.lock:
            new = reason not in self.said
            self.said.add(reason)
        if new:
            _log.info("The engine's own search runs: %s", reason)

    @contextlib.contextmanager
    def prepared(self, command: Sequence[str]) -> Iterator[RestrictedSearch | None]:
        """Gives the search of the survivors; None where the whole database is searched.

        Raises:
            DatabaseError: the database cannot be read, or changed meanwhile.
        """
        search = prepare_search(command, os.environ)
        if not isinstance(search, PreparedSearch):
            self.step_aside(search.reason)
            self.passes.stay_away(str(command[-1]))
            with self._as_the_engine_does():
                yield None
            return
        with self.passes.restricted(search) as restricted:
            if isinstance(restricted, Aside):
                self.step_aside(restricted.reason)
                with self._as_the_engine_does():
                    yield None
                return
            with self.programs:
                yield restricted

    def _as_the_engine_does(self) -> contextlib.AbstractContextManager[object]:
        """The engine searches a chain's databases side by side, but one chain at a time."""
        return self.programs if self.passes.has_company else contextlib.nullcontext()


def why_not_here(environ: Mapping[str, str]) -> str | None:
    """Says why no search can be restricted in this environment; None where it can."""
    isa = instruction_set(environ)
    if isinstance(isa, Aside):
        return isa.reason
    return None if importlib.util.find_spec("pyhmmer") else "pyhmmer is not installed"


def exact_search(searches: ExactSearch) -> PatchSet[ExactSearch]:
    """Returns the replacement of the engine's function, not yet in force."""
    return PatchSet([EXACT_SEARCH], searches)


# A function of the engine's: command, its name, and how to report.
type RunTool = Callable[..., Any]


def _make_run(original: RunTool, searches: ExactSearch) -> RunTool:
    def run(cmd: Sequence[str], cmd_name: str, *args: Any, **options: Any) -> Any:
        if not cmd_name.startswith(_TOOL):
            with searches.programs:
                return original(cmd, cmd_name, *args, **options)

        def run_command(command: Sequence[str]) -> Any:
            return original(command, cmd_name, *args, **options)

        try:
            with TargetFile(Path(cmd[-1])) as database, searches.prepared(cmd) as restricted:
                begun = time.monotonic()
                done, used = _run_one(run_command, cmd, restricted, searches)
                # The engine's own search reads it, too, and nobody else would notice.
                database.check_unchanged()
        except SetupError as error:
            # The engine's callers, and what is around them, know its kind of error.
            raise RuntimeError(str(error)) from error
        _say_what_was_found(cmd, used, time.monotonic() - begun)
        return done

    return run


def _run_one(
    run_command: Callable[[Sequence[str]], Any],
    command: Sequence[str],
    restricted: RestrictedSearch | None,
    searches: ExactSearch,
) -> tuple[Any, RestrictedSearch | None]:
    """Searches the survivors, or all targets where there are none, or none any more.

    Returns:
        What the engine's function returns, and the restricted search if it was used.
    """
    if restricted is None:
        return run_command(command), None
    try:
        return run_command(restricted.command), restricted
    except RuntimeError:
        # A process that ends kills its programs and takes its temporary files away.
        if restricted.is_complete() or searches.passes.is_stopped:
            raise
    searches.step_aside(GONE)
    return run_command(command), None


def _say_what_was_found(
    command: Sequence[str], restricted: RestrictedSearch | None, seconds: float
) -> None:
    path = value_of(command, "-A")
    if path is None:
        return
    sequence = _sequence(Path(command[-2]))
    where = "all targets" if restricted is None else f"{restricted.survivors} survivor(s)"
    _log.info(
        "%s: %d row(s) for a chain of %d residues (%s...); jackhmmer took %.1f s for %s",
        Path(command[-1]).name,
        _found_rows(path),
        len(sequence),
        sequence[:_SHOWN_RESIDUES],
        seconds,
        where,
    )


def _sequence(query: Path) -> str:
    _, _, sequence = query.read_text(encoding="ascii").partition("\n")
    return "".join(sequence.split())


def _found_rows(path: Path) -> int:
    """Counts the rows of a Stockholm file without the query's."""
    names = 0
    with path.open(encoding="utf-8", errors="replace") as lines:
        for number, line in enumerate(lines):
            if number > _MOST_LINES:
                break
            if line.startswith(("#", "//")):
                continue
            if line.strip():
                names += 1
            elif names:
                break
    return max(0, names - 1)


EXACT_SEARCH = Patch[ExactSearch](
    name=NAME,
    replacements=((known("data.tools.subprocess_utils", "run"), _make_run),),
    # Which looks at what the search of the survivors leaves, too.
    after=frozenset({WHOLE_RESULTS}),
)
