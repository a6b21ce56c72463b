"""Featurisation of a job's seeds: from the cache, shared between seeds, or by the engine."""

import contextlib
import functools
import logging
import os
import time
from collections.abc import Iterator, Sequence
from typing import Any

from af3opt.cgroups import read_cgroup_limits
from af3opt.engine.features import Batch, featurise_with_engine
from af3opt.engine.featurisation import PendingReference, SharedFeatures, unknown_function
from af3opt.features.cache import FeatureCache
from af3opt.features.options import FeatureOptions
from af3opt.host import probe_cpu, read_slurm_job

_log = logging.getLogger(__name__)


def featurise(
    fold_input: Any,
    seeds: Sequence[int],
    ccd: Any,
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
            batch = job.batch(seed, upcoming=seeds[position + 1 : position + 2])
            _log.info(
                "Featurising data with seed %d took %.2f seconds.", seed, time.monotonic() - start
            )
            yield seed, batch


class JobFeatures:
    """The features of one input, seed by seed, in any order.

    Close it after the last seed; it holds threads. `from_cache` tells whether the
    last batch was read instead of made.
    """

    def __init__(
        self,
        fold_input: Any,
        ccd: Any,
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
        self._shared: SharedFeatures | None = None
        self._pending: dict[int, PendingReference] = {}
        self.from_cache = False

    def close(self) -> None:
        """Ends the threads."""
        if self._shared is not None:
            self._shared.close()

    def batch(self, seed: int, upcoming: Sequence[int] = ()) -> Batch:
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
            self.from_cache = cached is not None
            if cached is not None:
                _log.debug("features of seed %d come from the cache", seed)
                return cached
        batch = self._compute(seed, upcoming)
        if self._cache is not None and self._key is not None:
            self._cache.save(self._key, seed, batch)
        return batch

    def _compute(self, seed: int, upcoming: Sequence[int]) -> Batch:
        unknown = unknown_function()
        if unknown is not None:
            _say_stepping_aside(unknown)
            return featurise_with_engine(self._fold_input, seed, self._ccd, self._options)
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
        self._begin(upcoming)
        return self._shared.finish(pending)

    def _begin(self, seeds: Sequence[int]) -> None:
        assert self._shared is not None
        for seed in seeds:
            if seed not in self._pending:
                self._pending[seed] = self._shared.begin(seed)


@functools.cache
def usable_threads() -> int:
    """Returns how many cores affinity, cgroup and Slurm leave to this process."""
    return probe_cpu(read_slurm_job(os.environ), read_cgroup_limits()).usable_cores


_stepping_aside_said = False


def _say_stepping_aside(function: str) -> None:
    global _stepping_aside_said
    if not _stepping_aside_said:
        _stepping_aside_said = True
        _log.warning(
            "seed-shared featurisation steps aside: %s of the installed engine is not a version "
            "known to af3opt; each seed is featurised in full by the engine",
            function,
        )
