"""Conformers on disk: embedded once for all jobs and processes of an installation.

A residue's conformer depends on its component and its conformer seed, and the
conformer seeds of a model seed depend only on the residue's position. So jobs that
run the same seeds meet the same pairs again: all of them when a target is screened,
more and more of them when many different proteins are.

One entry holds the conformers of one model seed. Two processes that add to it at
once lose one's additions, never the entry; what is lost is embedded again.
"""

import importlib.metadata
from collections.abc import Mapping

import numpy as np

from af3opt.base.json_types import JsonObject
from af3opt.base.key import CacheKey
from af3opt.caching.entry import DECODING_ERRORS
from af3opt.caching.locations import open_cache
from af3opt.caching.manager import CacheManager
from af3opt.features.compress import compress_features, decompress_features
from af3opt.features.own_material import own_material

# (component digest, conformer seed) -> float32 (atoms, 3), or None where RDKit failed.
type Conformers = Mapping[tuple[str, int], np.ndarray | None]

_MAX_GB = 2.0
# An entry beyond this is not added to: it would cost every job more to read than it saves.
MAX_CONFORMERS = 60_000


def software_material() -> JsonObject:
    """The part of a key that does not concern the seed."""
    return {"rdkit": importlib.metadata.version("rdkit"), **own_material()}


class ConformerStore:
    """Conformers by model seed."""

    def __init__(self, manager: CacheManager | None = None) -> None:
        """Makes a store.

        Args:
            manager: Where entries are kept; None for the installation's own place.
        """
        self._manager = manager or open_cache("conformers", max_gb=_MAX_GB)

    def load(self, seed: int, max_iterations: int | None) -> Conformers:
        """Returns what is known for a model seed; empty if nothing is."""
        packed = self._manager.get(_key(seed, max_iterations))
        if packed is None:
            return {}
        try:
            arrays, digests = decompress_features(packed)
            return _unpack(arrays, digests)
        except DECODING_ERRORS:
            return {}

    def add(self, seed: int, max_iterations: int | None, conformers: Conformers) -> None:
        """Adds conformers to a model seed's entry; those it has already are kept."""
        known = dict(self.load(seed, max_iterations))
        added = {key: value for key, value in conformers.items() if key not in known}
        if not added or len(known) + len(added) > MAX_CONFORMERS:
            return
        known.update(added)
        arrays, digests = _pack(known)
        # Random coordinates do not compress; the quickest level does as well as any.
        packed = compress_features(arrays, extra=digests, level=1, sparse=False)
        self._manager.put(_key(seed, max_iterations), packed.buffers, {"conformers": len(known)})


def _key(seed: int, max_iterations: int | None) -> CacheKey:
    return CacheKey.of(
        {
            "kind": "conformers",
            **software_material(),
            "seed": seed,
            "conformer_max_iterations": max_iterations,
        }
    )


def _pack(conformers: Conformers) -> tuple[dict[str, np.ndarray], list[str]]:
    digests = sorted({digest for digest, _ in conformers})
    number_of = {digest: number for number, digest in enumerate(digests)}
    failed = np.zeros((0, 3), np.float32)
    positions = [value if value is not None else failed for value in conformers.values()]
    return {
        "components": np.array([number_of[digest] for digest, _ in conformers], np.int32),
        "seeds": np.array([seed for _, seed in conformers], np.int64),
        "atoms": np.array([len(value) for value in positions], np.int32),
        "positions": np.concatenate(positions) if positions else failed,
    }, digests


def _unpack(
    arrays: Mapping[str, np.ndarray], digests: list[str]
) -> dict[tuple[str, int], np.ndarray | None]:
    ends = np.cumsum(arrays["atoms"]).tolist()
    positions = arrays["positions"]
    if positions.dtype != np.float32 or positions.shape != (ends[-1] if ends else 0, 3):
        raise ValueError("positions do not fit the numbers of atoms")
    starts = [0, *ends[:-1]]
    columns = zip(
        arrays["components"].tolist(), arrays["seeds"].tolist(), starts, ends, strict=True
    )
    return {
        (digests[component], seed): positions[start:end] if end > start else None
        for component, seed, start, end in columns
    }
