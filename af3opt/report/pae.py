"""The PAE matrix in eight bits, small enough to look at."""

import dataclasses

import numpy as np

# AlphaFold 3 writes PAE up to 31.75 angstrom, in steps of 0.1: an eighth is finer
# than any colour scale shows, and 254 eighths are exactly that maximum.
STEP = 0.125
MISSING = 255


@dataclasses.dataclass(frozen=True, slots=True)
class PaeMap:
    """A PAE matrix, averaged over square bins of tokens when it is large.

    Attributes:
        values: uint8 [side, side], in units of `STEP` angstrom; `MISSING` where no
            token pair of the bin has a finite value.
        tokens: Number of tokens per axis of the original matrix.
        bin_size: Tokens per bin along each axis; 1 shows every pair.
    """

    values: np.ndarray
    tokens: int
    bin_size: int


def reduce_pae(pae: np.ndarray, max_side: int) -> PaeMap:
    """Quantises a PAE matrix, averaging square bins if it exceeds `max_side`.

    Args:
        pae: float32 [tokens, tokens], angstrom.
        max_side: Largest number of rows to keep.
    """
    tokens = len(pae)
    bin_size = -(-tokens // max_side)
    means = _binned_means(pae, bin_size) if bin_size > 1 else pae
    finite = np.isfinite(means)
    steps = np.clip(np.rint(np.where(finite, means, 0.0) / STEP), 0, MISSING - 1)
    values = np.where(finite, steps, MISSING).astype(np.uint8)
    return PaeMap(values, tokens, bin_size)


def _binned_means(pae: np.ndarray, bin_size: int) -> np.ndarray:
    """Means over square bins, the last ones smaller; NaN where nothing is finite."""
    edges = np.arange(0, len(pae), bin_size)
    finite = np.isfinite(pae)
    totals, counts = np.where(finite, pae, 0.0).astype(np.float64), finite.astype(np.int64)
    for axis in (0, 1):
        totals = np.add.reduceat(totals, edges, axis=axis)
        counts = np.add.reduceat(counts, edges, axis=axis)
    result: np.ndarray = np.where(counts > 0, totals / np.maximum(counts, 1), np.nan)
    return result
