"""Searches of a whole batch ahead of its jobs: each chain once, many chains in a pass.

A thread goes over the plan, gathers chains that have not been searched, and searches a
company of them side by side, so that one pass over a database serves them all. Results
go to the MSA cache chain by chain. Jobs whose chains are there begin at once; the others
have to wait their turn. Processes that share an output directory share the chains, too:
a chain is leased as a job is claimed.
"""

import contextlib
import dataclasses
import itertools
import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from af3opt.base.errors import Af3optError
from af3opt.base.key import CacheKey
from af3opt.engine.inputs import load_fold_input, needs_search
from af3opt.engine.msa import DataPipeline
from af3opt.engine.protocols import ProteinChain
from af3opt.execution.batch.failed_searches import FailedSearches
from af3opt.execution.claims.claim import keep_alive, try_claim
from af3opt.execution.interrupt import InterruptGuard
from af3opt.execution.planning.plan import PlannedJob
from af3opt.features.msa_cache import MsaCache
from af3opt.search.passes import SharedPasses

_log = logging.getLogger(__name__)

# Path of its file and position in it.
type _Job = tuple[Path, int]

# Chains of a company: each holds its alignments in memory until they are stored.
_MOST_CHAINS = 32
# How long to wait before looking again at chains that other processes search.
_POLL_SECONDS = 1.0


@dataclasses.dataclass(frozen=True, slots=True)
class _Wanted:
    """A chain that nobody has searched yet.

    Attributes:
        chain: The engine's chain.
        key: Of its results in the MSA cache.
    """

    chain: ProteinChain
    key: CacheKey


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SearchTools:
    """What searching ahead needs.

    Attributes:
        pipeline: The engine's data pipeline, with the cache around it.
        cache: Where results go.
        passes: The scans, which chains share.
        leases: Directory of the leases that processes share; None to search without.
        failed: Chains whose search has failed in this run.
        guard: Says when to stop, and lets leases go at a signal.
    """

    pipeline: DataPipeline
    cache: MsaCache
    passes: SharedPasses
    leases: Path | None
    failed: FailedSearches
    guard: InterruptGuard


class _Waiting:
    """Which jobs of a plan wait for which chains."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        # Jobs that have been looked at, with the digests of chains they wait for.
        self._chains: dict[_Job, frozenset[str]] = {}
        # Chains that have been searched, or could not be: nobody waits for them again.
        self._closed: set[str] = set()
        self._searching = False
        self._over = False

    @property
    def is_over(self) -> bool:
        with self._changed:
            return self._over

    def end(self) -> None:
        """Lets all jobs go."""
        with self._changed:
            self._over = True
            self._changed.notify_all()

    def note(self, job: _Job, digests: Iterable[str]) -> None:
        """Notes that a job has been looked at, and what it waits for."""
        with self._changed:
            self._chains[job] = frozenset(digests)
            self._changed.notify_all()

    def close(self, digest: str) -> None:
        """Notes that nobody has to wait for a chain any more."""
        with self._changed:
            self._closed.add(digest)

    @contextlib.contextmanager
    def searching(self) -> Iterator[None]:
        """No job is looked at for the length of the block."""
        with self._changed:
            self._searching = True
            self._changed.notify_all()
        try:
            yield
        finally:
            with self._changed:
                self._searching = False

    def is_seen(self, job: _Job) -> bool:
        """Whether a job has been looked at; waits as long as jobs are."""
        with self._changed:
            self._changed.wait_for(lambda: self._over or self._searching or job in self._chains)
            return self._over or job in self._chains

    def is_free(self, job: _Job) -> bool:
        """Whether a job that has been looked at need not wait."""
        with self._changed:
            return self._over or self._chains[job] <= self._closed


class SearchAhead:
    """The searches of a plan, in threads of their own."""

    def __init__(self, tools: SearchTools, plan: Sequence[PlannedJob]) -> None:
        """Searches nothing yet.

        Args:
            tools: What it needs.
            plan: The jobs, in the order in which they will be opened.
        """
        self._tools = tools
        self._plan = plan
        self._waiting = _Waiting()
        self._thread = threading.Thread(target=self._work, name="search-ahead", daemon=True)

    @contextlib.contextmanager
    def running(self) -> Iterator["SearchAhead"]:
        """Searches for the length of the block; what has not been begun by then is not."""
        self._thread.start()
        try:
            yield self
        finally:
            self._waiting.end()
            self._tools.passes.stop()
            self._thread.join()

    def is_ready(self, planned: PlannedJob) -> bool:
        """Whether a job need not wait: its chains are there, or it will search itself."""
        job = _job(planned)
        if not self._waiting.is_seen(job):
            # A search takes long; a job that needs none shall not wait for its end.
            try:
                self._look_at(planned)
            except Exception as error:
                _log.debug("Chains of %s", planned.name, exc_info=error)
                return True  # Opening it will say what is wrong.
        return self._waiting.is_free(job)

    def _work(self) -> None:
        try:
            self._search_all()
        except Exception as error:
            # The jobs search for themselves then, and say what is wrong.
            _log.warning("Searching ahead of the jobs has ended: %s", error)
            _log.debug("Search ahead", exc_info=error)
        finally:
            self._waiting.end()

    def _search_all(self) -> None:
        elsewhere: list[_Wanted] = []
        done = 0
        for company in itertools.batched(self._unsearched(), _MOST_CHAINS):
            if self._must_stop():
                return
            with self._waiting.searching():
                searched, held = self._search_company(company)
            done += searched
            elsewhere += held
        while elsewhere and not self._must_stop():
            time.sleep(_POLL_SECONDS)
            searched, elsewhere = self._search_company(elsewhere)
            done += searched
        if done:
            _log.info("Searches ahead of the jobs: %d chain(s) done", done)

    def _must_stop(self) -> bool:
        return self._waiting.is_over or self._tools.guard.stop_requested.is_set()

    def _unsearched(self) -> Iterator[_Wanted]:
        """Yields each chain of the plan that has no results yet, once."""
        known: set[str] = set()
        for planned in self._plan:
            for one in self._look_at(planned):
                if one.key.digest not in known:
                    known.add(one.key.digest)
                    yield one

    def _look_at(self, planned: PlannedJob) -> list[_Wanted]:
        """Notes, and returns, the chains that a job has to wait for."""
        wanted = self._wanted_by(planned)
        self._waiting.note(_job(planned), (one.key.digest for one in wanted))
        return wanted

    def _wanted_by(self, planned: PlannedJob) -> list[_Wanted]:
        try:
            fold_input = load_fold_input(planned.path, planned.position)
            if not needs_search(fold_input):
                return []
            self._tools.pipeline.check()
        except (Af3optError, OSError):
            return []  # Opening the job will say what is wrong with it.
        found = ((one, self._tools.cache.missing(one)) for one in fold_input.protein_chains)
        return [_Wanted(chain, key) for chain, key in found if key is not None]

    def _search_company(self, company: Sequence[_Wanted]) -> tuple[int, list[_Wanted]]:
        """Searches those of some chains that no other process searches.

        Returns:
            How many were searched, and those that others search.
        """
        with contextlib.ExitStack() as leases:
            mine: list[_Wanted] = []
            held: list[_Wanted] = []
            for one in company:
                lease = _lease(self._tools, one.key.digest)
                if lease is None:
                    held.append(one)
                    continue
                leases.enter_context(lease)
                # Its holder may have ended, and stored it, since it was missed.
                # And where it has failed in this run already, its jobs say why.
                failed = self._tools.failed.reason(one.key) is not None
                if failed or self._tools.cache.missing(one.chain) is None:
                    self._waiting.close(one.key.digest)
                else:
                    mine.append(one)
            return self._search(mine) if mine else 0, held

    def _search(self, company: Sequence[_Wanted]) -> int:
        """Returns how many chains could be searched."""
        residues = sum(len(one.chain.sequence) for one in company)
        _log.info("Searching for %d chain(s), %d residues, in one go", len(company), residues)
        with (
            self._tools.cache.side_by_side(len(company)),
            self._tools.passes.company(len(company)) as leave,
            ThreadPoolExecutor(len(company), "search") as threads,
        ):
            return sum(threads.map(self._search_one, company, itertools.repeat(leave)))

    def _search_one(self, wanted: _Wanted, leave: Callable[[], None]) -> bool:
        try:
            self._tools.pipeline.search_protein(wanted.chain)
        except Exception as error:
            # Its jobs are told, and say so in their own names.
            _log.debug("Search of chain %s", wanted.chain.id, exc_info=error)
            if not self._must_stop():
                self._tools.failed.note(wanted.key, _one_line(error))
            return False
        else:
            return True
        finally:
            leave()
            self._waiting.close(wanted.key.digest)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _job(planned: PlannedJob) -> _Job:
    return planned.path, planned.position


def _lease(tools: SearchTools, digest: str) -> contextlib.AbstractContextManager[object] | None:
    """Takes a chain for this process; None while another one searches it."""
    if tools.leases is None:
        return contextlib.nullcontext()
    claim = try_claim(tools.leases / digest)
    if claim is None:
        return None
    held = contextlib.ExitStack()
    held.enter_context(tools.guard.at_end(claim.release))
    held.enter_context(keep_alive(claim))
    return held
