"""`FeatureCache`: featurised inputs on disk, shared by seeds, jobs and processes.

An input has one entry for the features that no seed changes, a small one for each
seed, and a tiny one with its number of tokens. See `caching.manager` for what keeps
entries intact, and `features.compress` for their form.
"""

import logging
from pathlib import Path

import numpy as np

from af3opt.base.key import CacheKey
from af3opt.base.padding import padded_size
from af3opt.caching.entry import DECODING_ERRORS
from af3opt.caching.locations import open_cache
from af3opt.caching.manager import CacheManager
from af3opt.engine.feature_objects import UnknownObjectError
from af3opt.engine.protocols import ComponentDictionary, FoldInput
from af3opt.features.compress import compress_features, decompress_features
from af3opt.features.conformer_store import ConformerStore
from af3opt.features.engine_features import Batch
from af3opt.features.featurisation import SEED_FEATURES, unknown_function
from af3opt.features.key import FeatureKey
from af3opt.features.options import FeatureOptions
from af3opt.features.packing import pack_batch, unpack_batch
from af3opt.settings.settings import Settings

_log = logging.getLogger(__name__)


class FeatureCache:
    """Featurised batches by what decides them."""

    def __init__(self, manager: CacheManager, conformers: ConformerStore | None = None) -> None:
        """Puts a feature cache on a store.

        Args:
            manager: Where entries are kept.
            conformers: Where single conformers are kept, so that a new input with
                known chains or seeds is featurised faster; None for nowhere.
        """
        self.manager = manager
        self.conformers = conformers
        self._entries = _Entries(manager)
        self._shared = _SharedEntries(self._entries)

    @classmethod
    def in_directory(cls, directory: Path, max_bytes: int | None = None) -> "FeatureCache":
        """Makes a feature cache in a directory, which is created when first written to."""
        return cls(CacheManager("feature cache", directory, max_bytes=max_bytes))

    @classmethod
    def from_settings(cls, settings: Settings) -> "FeatureCache | None":
        """Returns the cache that the settings ask for, or None for `--nofeature_cache`."""
        if not settings.feature_cache:
            return None
        return cls(
            open_cache("features", settings.feature_cache_dir, settings.feature_cache_gb),
            ConformerStore(),
        )

    def key(
        self, fold_input: FoldInput, ccd: ComponentDictionary, options: FeatureOptions
    ) -> FeatureKey:
        """Returns the identity of an input's features; see `FeatureKey`."""
        return FeatureKey(fold_input, ccd, options)

    def load(self, key: FeatureKey, seed: int) -> Batch | None:
        """Returns the batch of one seed, or None if any part of it is not there.

        Its arrays are the bits that were saved; those that no seed changes are
        shared between the batches of one input and read-only.
        """
        padded = self._padded_tokens(key)
        if padded is None:
            return None
        of_seed = self._entries.get(key.seed(padded, seed))
        shared = self._shared.load(key.shared(padded)) if of_seed is not None else None
        if of_seed is None or shared is None:
            return None
        seed_arrays, order = of_seed
        together = {**shared, **seed_arrays}
        try:
            return {name: together[name] for name in order}
        except DECODING_ERRORS as error:
            self._entries.set_aside(key.seed(padded, seed), error)
            return None

    def seconds_to_make(self, key: FeatureKey, seed: int, batch: Batch) -> float:
        """Returns what making a loaded batch once took, or 0.0 where that is not known."""
        return self.manager.seconds_to_make(key.seed(int(batch["token_index"].shape[0]), seed))

    def save(self, key: FeatureKey, seed: int, batch: Batch, seconds: float = 0.0) -> bool:
        """Stores the batch of one seed.

        Args:
            key: From `key`.
            seed: The seed it was made with.
            batch: The whole batch.
            seconds: What making it took.

        Returns:
            Whether it can be loaded again.
        """
        # Without knowledge of the engine, any feature may depend on the seed.
        per_seed = set(batch) if unknown_function() else set(SEED_FEATURES)
        padded = int(batch["token_index"].shape[0])
        tokens = int(np.count_nonzero(batch["seq_mask"]))
        shared = {name: array for name, array in batch.items() if name not in per_seed}
        seed_arrays = {name: array for name, array in batch.items() if name in per_seed}
        stored = self._shared.keep(key.shared(padded), shared) and self._keep_tokens(key, tokens)
        return stored and self._entries.put(
            key.seed(padded, seed), seed_arrays, list(batch), seconds
        )

    def _padded_tokens(self, key: FeatureKey) -> int | None:
        packed = self.manager.get(key.tokens())
        if packed is None:
            return None
        try:
            tokens = int(decompress_features(packed)[0]["tokens"])
        except DECODING_ERRORS as error:
            self._entries.set_aside(key.tokens(), error)
            return None
        return padded_size(tokens, key.options.buckets or ())

    def _keep_tokens(self, key: FeatureKey, tokens: int) -> bool:
        if self._padded_tokens(key) is not None:
            return True
        packed = compress_features({"tokens": np.array(tokens)})
        return self.manager.put(key.tokens(), packed.buffers, {"tokens": tokens})


class _Entries:
    """Features in the entries of a store."""

    def __init__(self, manager: CacheManager) -> None:
        self._manager = manager

    def get(self, key: CacheKey) -> tuple[Batch, list[str]] | None:
        """Returns an entry's features and the batch's order, or None if there is none to use."""
        packed = self._manager.get(key)
        if packed is None:
            return None
        try:
            return unpack_batch(packed)
        except ValueError as error:
            self.set_aside(key, error)
            return None

    def has(self, key: CacheKey) -> bool:
        """Whether there is an undamaged entry; it is read for that."""
        return self._manager.get(key) is not None

    def put(
        self, key: CacheKey, batch: Batch, order: list[str], seconds: float | None = None
    ) -> bool:
        """Stores features; False where they cannot be."""
        try:
            packed = pack_batch(batch, order)
        except (UnknownObjectError, TypeError) as error:
            _log.info("features are not cached: %s", error)
            return False
        information: dict[str, float] = {"raw_bytes": packed.raw_bytes, "features": len(batch)}
        if seconds is not None:
            information["seconds"] = round(seconds, 3)
        return self._manager.put(key, packed.buffers, information)

    def set_aside(self, key: CacheKey, error: Exception) -> None:
        """Quarantines an entry that cannot be decoded."""
        path = self._manager.path_of(key.digest)
        self._manager.quarantine(path, f"cannot be decoded ({error})")


class _SharedEntries:
    """The features that no seed changes, the last ones also in memory."""

    def __init__(self, entries: _Entries) -> None:
        self._entries = entries
        # Those read or written last, so that the seeds of one job, and repeated jobs,
        # read them once. Replaced as a whole: several threads may use the cache.
        self._last: tuple[str, Batch] | None = None

    def keep(self, key: CacheKey, shared: Batch) -> bool:
        """Stores them, unless an earlier seed, run or process has."""
        last = self._last
        if last is not None and last[0] == key.digest:
            return True
        # Read and not only looked for: packing it again takes longer, and repairs it.
        stored = self._entries.has(key) or self._entries.put(key, shared, list(shared))
        if stored:
            self._last = (key.digest, shared)
        return stored

    def load(self, key: CacheKey) -> Batch | None:
        """Returns them as read-only arrays, or None if there are none to use."""
        last = self._last
        if last is not None and last[0] == key.digest:
            return last[1]
        found = self._entries.get(key)
        if found is None:
            return None
        shared, _ = found
        for array in shared.values():
            # Shared between seeds: writing into one must fail, not spread.
            array.flags.writeable = False
        self._last = (key.digest, shared)
        return shared
