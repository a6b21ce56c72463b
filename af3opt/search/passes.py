"""Passes over databases that searches share: one reads a file for all that wait for it.

The engine searches the databases of a chain side by side, and several chains may be under
way. One scan at a time uses all cores. Whoever asks for a database while another is being
scanned waits, and the next pass takes everybody who waits for the same file.
"""

import contextlib
import dataclasses
import logging
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from af3opt.search.aside import Aside
from af3opt.search.jackhmmer import PreparedSearch, RestrictedSearch, restrict_searches
from af3opt.search.scan import Progress

_log = logging.getLogger(__name__)

# Queries of one pass: each has a score table of 29 rows and a file of survivors.
MOST_QUERIES = 64
# A member of a company that does not come is not waited for longer than this.
_MOST_WAITING_SECONDS = 120.0
_SECONDS_BETWEEN_LINES = 30.0
# Of a folder of survivors.
_SUFFIX = "-survivors"


# Why a search steps aside whose survivors somebody else has removed.
GONE = "the survivors were removed from the directory of temporary files"


class SearchStoppedError(RuntimeError):
    """The process ends; a search that is under way is given up."""

    def __init__(self) -> None:
        super().__init__("the search was given up")


@dataclasses.dataclass(slots=True, eq=False)
class _Request:
    """One search that waits for a pass."""

    search: PreparedSearch
    result: "RestrictedSearch | Aside | BaseException | None" = None


class SharedPasses:
    """Scans of this process, one at a time."""

    def __init__(self, threads: int) -> None:
        """Scans nothing yet.

        Args:
            threads: Threads of a scan.
        """
        self._threads = threads
        self._changed = threading.Condition()
        self._waiting: dict[str, list[_Request]] = {}
        self._scanning = False
        # Chains that search side by side, and how many of them a database has seen.
        self._company = 0
        self._seen: dict[str, int] = {}
        self._last_change = time.monotonic()
        self._stopped = threading.Event()

    def stop(self) -> None:
        """Gives up what is under way; everybody who waits gets `SearchStoppedError`."""
        self._stopped.set()
        with self._changed:
            self._changed.notify_all()

    @property
    def is_stopped(self) -> bool:
        """Whether all has been given up."""
        return self._stopped.is_set()

    @property
    def has_company(self) -> bool:
        """Whether several chains are searched side by side."""
        with self._changed:
            return self._company > 1

    @contextlib.contextmanager
    def company(self, chains: int) -> Iterator[Callable[[], None]]:
        """Lets passes wait until all chains of a company have asked for the database.

        Args:
            chains: Chains that will search, each in threads of its own.

        Yields:
            A function to be called by each chain that is done or has failed.
        """
        with self._changed:
            self._company = chains
            self._seen.clear()
        try:
            yield self._leave
        finally:
            with self._changed:
                self._company = 0
                self._note_change()

    def stay_away(self, database: str) -> None:
        """Notes that a member of the company will not ask for a pass over a database."""
        with self._changed:
            self._seen[database] = self._seen.get(database, 0) + 1
            self._note_change()

    @contextlib.contextmanager
    def restricted(self, search: PreparedSearch) -> Iterator[RestrictedSearch | Aside]:
        """Gives a search of the survivors, whose file is there for the length of the block.

        Raises:
            DatabaseError: the database cannot be read, or changed meanwhile.
        """
        request = _Request(search)
        self._wait(request)
        result = request.result
        if isinstance(result, BaseException):
            raise result
        assert result is not None
        if isinstance(result, RestrictedSearch) and not result.is_complete():
            result = Aside(GONE)
        try:
            yield result
        finally:
            if isinstance(result, RestrictedSearch):
                _remove_survivors(result.survivors_file)

    def _leave(self) -> None:
        with self._changed:
            self._company = max(0, self._company - 1)
            self._note_change()

    def _note_change(self) -> None:
        self._last_change = time.monotonic()
        self._changed.notify_all()

    def _wait(self, request: _Request) -> None:
        """Returns when a pass has served the request; this thread may be the one to scan."""
        database = request.search.line.database
        with self._changed:
            self._waiting.setdefault(database, []).append(request)
            self._seen[database] = self._seen.get(database, 0) + 1
            self._note_change()
            while request.result is None:
                if self._stopped.is_set():
                    raise SearchStoppedError()
                if self._scanning or not self._is_complete(database):
                    self._changed.wait(timeout=1.0)
                    continue
                self._scan(database)

    def _is_complete(self, database: str) -> bool:
        """Whether all who will ask for a database have done so, or are late."""
        if self._seen.get(database, 0) >= self._company:
            return True
        return time.monotonic() - self._last_change > _MOST_WAITING_SECONDS

    def _scan(self, database: str) -> None:
        """Serves those that wait for a database; the lock is held by the caller."""
        requests = self._waiting[database][:MOST_QUERIES]
        self._waiting[database] = self._waiting[database][MOST_QUERIES:]
        self._scanning = True
        self._changed.release()
        try:
            searches = [request.search for request in requests]
            results = _restrict(searches, self._threads, self._stopped)
        finally:
            self._changed.acquire()
            self._scanning = False
        for request, result in zip(requests, results, strict=True):
            request.result = result
        self._note_change()


def _restrict(
    searches: list[PreparedSearch], threads: int, stopped: threading.Event
) -> list[RestrictedSearch | Aside | BaseException]:
    """Scans once; what went wrong is every search's result."""
    watch = _Watch(Path(searches[0].line.database), len(searches), stopped)
    failure: Aside | BaseException
    try:
        folder = Path(tempfile.mkdtemp(suffix=_SUFFIX))
    except OSError as error:
        failure = Aside(f"no folder for the survivors can be made ({error.strerror})")
    else:
        try:
            found = restrict_searches(searches, folder, threads, watch.report)
            if not isinstance(found, Aside):
                watch.say_done()
                return list(found)
            failure = found
        except BaseException as error:
            failure = error
        # A cleaner may have been faster.
        shutil.rmtree(folder, ignore_errors=True)
    # A process that ends takes its temporary files away: no reason for the engine's own search.
    if stopped.is_set():
        failure = SearchStoppedError()
    return [failure] * len(searches)


def _remove_survivors(survivors: Path) -> None:
    """Removes a file of survivors, and the folder after the last one."""
    survivors.unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        survivors.parent.rmdir()


class _Watch:
    """Lines for the log while a scan takes its time, and its end when the process stops."""

    def __init__(self, database: Path, queries: int, stopped: threading.Event) -> None:
        self._what = f"{database.name} for {queries} chain{'s' * (queries != 1)}"
        self._last = Progress(0, 0, 0)
        self._stopped = stopped
        self._begun = self._said = time.monotonic()

    def report(self, progress: Progress) -> None:
        """Says at most every half minute how far the scan is.

        Raises:
            SearchStoppedError: the process ends.
        """
        if self._stopped.is_set():
            raise SearchStoppedError()
        self._last = progress
        now = time.monotonic()
        if now - self._said < _SECONDS_BETWEEN_LINES:
            return
        self._said = now
        rate = progress.bytes_done / (now - self._begun)
        _log.info(
            "Scanning %s: %.1f of %.1f GB, %.2f GB/s, %.0f s left",
            self._what,
            progress.bytes_done / 1e9,
            progress.bytes_total / 1e9,
            rate / 1e9,
            (progress.bytes_total - progress.bytes_done) / rate,
        )

    def say_done(self) -> None:
        """Says what the scan took."""
        seconds = time.monotonic() - self._begun
        _log.info(
            "Scanned %s: %d targets, %.2f GB in %.1f s (%.2f GB/s)",
            self._what,
            self._last.targets,
            self._last.bytes_total / 1e9,
            seconds,
            self._last.bytes_total / 1e9 / seconds,
        )
