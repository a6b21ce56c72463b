"""Embedding of conformers by several threads, and a memory of those already made."""

import collections
import concurrent.futures
import contextvars
import functools
import os
import threading
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from af3opt.features.components import Component
from af3opt.features.conformer_store import Conformers, ConformerStore

# Shares of work for each thread, so that a slow one does not hold up the others.
_SHARES_PER_THREAD = 4


class ConformerMemory:
    """The conformers embedded last, by everything that decides them.

    The same chain under the same seed has the same conformers in every job of a
    batch, so a target screened against many ligands is embedded once.
    """

    def __init__(self, kept: int) -> None:
        """Makes an empty memory.

        Args:
            kept: Number of conformers to keep; one takes about 0.4 kB.
        """
        self._kept = kept
        self._known: collections.OrderedDict[tuple[str, int, int | None], np.ndarray | None] = (
            collections.OrderedDict()
        )
        self._lock = threading.Lock()

    def recall(
        self, wanted: Mapping[tuple[str, int], Component], max_iterations: int | None
    ) -> dict[tuple[str, int], np.ndarray | None]:
        """Returns those of the wanted conformers that are known."""
        found = {}
        with self._lock:
            for digest, seed in wanted:
                key = (digest, seed, max_iterations)
                if key in self._known:
                    self._known.move_to_end(key)
                    found[digest, seed] = self._known[key]
        return found

    def remember(self, conformers: Conformers, max_iterations: int | None) -> None:
        """Adds conformers and forgets those used longest ago."""
        with self._lock:
            for (digest, seed), positions in conformers.items():
                self._known[digest, seed, max_iterations] = positions
            while len(self._known) > self._kept:
                self._known.popitem(last=False)


@functools.cache
def conformer_memory() -> ConformerMemory:
    """The memory of this process."""
    return ConformerMemory(kept=100_000)


class PendingConformers:
    """Conformers that are being embedded."""

    def __init__(
        self,
        known: dict[tuple[str, int], np.ndarray | None],
        futures: "Sequence[concurrent.futures.Future[Conformers]]",
        keep: Callable[[Conformers], None],
    ) -> None:
        self._known = known
        self._futures = futures
        self._keep = keep

    def cancel(self) -> None:
        """Drops what has not begun; there is no result then."""
        for future in self._futures:
            future.cancel()

    def result(self) -> Conformers:
        """Waits for all of them; what an embedding raised is raised here."""
        embedded: dict[tuple[str, int], np.ndarray | None] = {}
        for future in self._futures:
            embedded.update(future.result())
        if embedded:
            self._keep(embedded)
        self._known.update(embedded)
        return self._known


@functools.cache
def _executor(threads: int) -> concurrent.futures.ThreadPoolExecutor:
    """Threads of the whole process: jobs featurised at once must not use more than one does."""
    return concurrent.futures.ThreadPoolExecutor(threads, "conformers")


# Threads do not survive a fork.
os.register_at_fork(after_in_child=_executor.cache_clear)


class ConformerPool:
    """Threads that embed conformers; RDKit releases the interpreter lock meanwhile.

    All pools of as many threads share them. What was submitted first is embedded first.
    """

    def __init__(self, threads: int, store: ConformerStore | None = None) -> None:
        """Makes a pool; threads begin with the first work.

        Args:
            threads: How many at most.
            store: Where conformers are kept on disk; None for nowhere.
        """
        self._threads = max(1, threads)
        self._store = store

    def submit(
        self, wanted: Mapping[tuple[str, int], Component], seed: int, max_iterations: int | None
    ) -> PendingConformers:
        """Begins to embed what is not known yet.

        Args:
            wanted: (component digest, conformer seed) -> component.
            seed: Model seed that the conformer seeds were drawn with.
            max_iterations: Limit of RDKit's search, or None for its own.
        """
        memory = conformer_memory()
        known = memory.recall(wanted, max_iterations)
        if self._store is not None and len(known) < len(wanted):
            memory.remember(self._store.load(seed, max_iterations), max_iterations)
            known = memory.recall(wanted, max_iterations)
        jobs = [(key, component) for key, component in wanted.items() if key not in known]
        shares = self._threads * _SHARES_PER_THREAD
        futures = [
            _executor(self._threads).submit(
                # What the engine says there names the job that this thread is busy with.
                contextvars.copy_context().run,
                _embed,
                jobs[start::shares],
                max_iterations,
            )
            for start in range(min(shares, len(jobs)))
        ]
        return PendingConformers(
            known, futures, lambda embedded: self._keep(seed, max_iterations, embedded)
        )

    def _keep(self, seed: int, max_iterations: int | None, embedded: Conformers) -> None:
        conformer_memory().remember(embedded, max_iterations)
        if self._store is not None:
            self._store.add(seed, max_iterations, embedded)


def _embed(
    jobs: Sequence[tuple[tuple[str, int], Component]], max_iterations: int | None
) -> Conformers:
    return {key: component.embed(key[1], max_iterations) for key, component in jobs}
