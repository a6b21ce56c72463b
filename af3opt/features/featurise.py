"""Featurisation of a job's seeds: from the cache, shared between seeds, or by the engine."""

import contextlib
import dataclasses
import functools
import logging
import os
import threading
import time
from collections.abc import Iterator, Sequence

from af3opt.engine.protocols import ComponentDictionary, FoldInput
from af3opt.features.cache import FeatureCache
from af3opt.features.engine_features import Batch, featurise_with_engine
from af3opt.features.featurisation import PendingReference, SharedFeatures, unknown_function
from af3opt.features.options import FeatureOptions
from af3opt.host.cgroups import read_cgroup_limits
from af3opt.host.host import probe_cpu
from af3opt.host.queues.every import find_own_job

_log = logging.getLogger(__name__)


def featurise(
    fold_input: FoldInput,
    seeds: Sequence[int],
    ccd: ComponentDictionary,
    options: FeatureOptions,
    *,
    cache: FeatureCache | None = None,
    threads: int | None = None,
) -> Iterator[tuple[int, Batch]]:
    """Yields each seed's features as soon as they are ready.

    They are bit for bit what the engine's `featurise_input` gives.

    Args:
        fold_input: The engine's input with MSAs and templates filled in.
        seeds: Seeds, in the order in which batches are wanted.
        ccd: The job's chemical component dictionary.
        options: Featurisation options.
        cache: Where features are looked up and kept; None for nowhere.
        threads: Threads for conformers; None for all usable cores.

    Yields:
        Seed and batch. Arrays that no seed changes are shared between batches
        and read-only.

    Raises:
        ValueError: the engine refuses the input.
    """
    with contextlib.closing(
        JobFeatures(fold_input, ccd, options, cache=cache, threads=threads)
    ) as job:
        for position, seed in enumerate(seeds):
            start = time.monotonic()
            _log.info("Featurising data with seed %d.", seed)
            features = job.features(seed, upcoming=seeds[position + 1 : position + 2])
            _log.info(
                "Featurising data with seed %d took %.2f seconds.", seed, time.monotonic() - start
            )
            yield seed, features.batch


@dataclasses.dataclass(frozen=True, slots=True)
class SeedFeatures:
    """The features of one seed.

    Attributes:
        batch: The features.
        from_cache: Whether they were read instead of made.
        seconds_saved: What making them once took, where they were read; 0.0 if unknown.
    """

    batch: Batch
    from_cache: bool
    seconds_saved: float = 0.0


class JobFeatures:
    """The features of one input, seed by seed, in any order, from several threads.

    Close it after the last seed: conformers may have been begun that nobody wants.
    """

    def __init__(
        self,
        fold_input: FoldInput,
        ccd: ComponentDictionary,
        options: FeatureOptions,
        *,
        cache: FeatureCache | None = None,
        threads: int | None = None,
    ) -> None:
        """Prepares; the work begins with the first seed. See `featurise`."""
        self._fold_input = fold_input
        self._ccd = ccd
        self._options = options
        self._cache = cache
        self._threads = threads or usable_threads()
        self._conformers = cache.conformers if cache is not None else None
        self._key = cache.key(fold_input, ccd, options) if cache is not None else None
        self._lock = threading.Lock()
        self._shared: SharedFeatures | None = None
        self._pending: dict[int, PendingReference] = {}

    def close(self) -> None:
        """Drops conformers that were begun for seeds that nobody asked for."""
        with self._lock:
            for pending in self._pending.values():
                pending.conformers.cancel()
            self._pending.clear()

    def features(self, seed: int, upcoming: Sequence[int] = ()) -> SeedFeatures:
        """Returns the features of one seed.

        Args:
            seed: The seed.
            upcoming: Seeds that will be asked for next: their conformers are begun
                while this one is completed.

        Raises:
            ValueError: the engine refuses the input.
        """
        if self._cache is not None and self._key is not None:
            cached = self._cache.load(self._key, seed)
            if cached is not None:
                _log.debug("features of seed %d come from the cache", seed)
                saved = self._cache.seconds_to_make(self._key, seed, cached)
                return SeedFeatures(cached, from_cache=True, seconds_saved=saved)
        start = time.monotonic()
        batch = self._compute(seed, upcoming)
        if self._cache is not None and self._key is not None:
            self._cache.save(self._key, seed, batch, time.monotonic() - start)
        return SeedFeatures(batch, from_cache=False)

    def _compute(self, seed: int, upcoming: Sequence[int]) -> Batch:
        unknown = unknown_function()
        if unknown is not None:
            _say_stepping_aside(unknown)
            return featurise_with_engine(self._fold_input, seed, self._ccd, self._options)
        with self._lock:
            shared, pending = self._begin(seed, upcoming)
        return shared.finish(pending)

    def _begin(self, seed: int, upcoming: Sequence[int]) -> tuple[SharedFeatures, PendingReference]:
        """Begins the seed's conformers and those of the seeds to come; needs the lock."""
        if self._shared is None:
            self._shared = SharedFeatures(
                self._fold_input,
                seed,
                self._ccd,
                self._options,
                self._threads,
                self._conformers,
            )
            self._pending[seed] = self._shared.take_first()
        pending = self._pending.pop(seed, None) or self._shared.begin(seed)
        for later in upcoming:
            if later not in self._pending:
                self._pending[later] = self._shared.begin(later)
        return self._shared, pending


@functools.cache
def usable_threads() -> int:
    """Returns how many cores affinity, cgroup and scheduler leave to this process."""
    return probe_cpu(find_own_job(os.environ), read_cgroup_limits()).usable_cores


@functools.cache
def _say_stepping_aside(function: str) -> None:
    """Says it once in a process."""
    _log.warning(
        "seed-shared featurisation steps aside: %s of the installed engine is not a version "
        "known to af3opt; each seed is featurised in full by the engine",
        function,
    )
