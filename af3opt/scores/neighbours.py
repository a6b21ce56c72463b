"""Which points of two sets are close to each other."""

import itertools

import numpy as np
from numpy.typing import NDArray

# Beyond this a coordinate is not a position in a molecule but a numerical accident.
_MAX_COORDINATE = 1.0e5
_OFFSETS = np.array(list(itertools.product((-1, 0, 1), repeat=2)))


def close_pairs(
    first: NDArray[np.floating], second: NDArray[np.floating], cutoff: float
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float64]]:
    """Finds the pairs of points that are at most `cutoff` apart.

    `second` is sorted into cubes of the size of the cutoff, so that each point of `first`
    meets only those of its own cube and the 26 around it.

    Args:
        first: [n, 3]; points that are not finite are close to nothing.
        second: [m, 3].
        cutoff: Largest distance, in the unit of the coordinates.

    Returns:
        Row in `first` and row in `second` of each pair, and its distance; [pairs] each,
        ordered by `first`.
    """
    kept, kept_others = _usable(first), _usable(second)
    if not len(kept) or not len(kept_others):
        return np.empty(0, np.intp), np.empty(0, np.intp), np.empty(0, np.float64)
    points, others = first[kept].astype(np.float64), second[kept_others].astype(np.float64)
    low, high = others.min(axis=0), others.max(axis=0)
    near = ((points >= low - cutoff) & (points <= high + cutoff)).all(axis=1)
    kept, points = kept[near], points[near]
    # Two empty cubes all around, so that no neighbour of a cube lies on another row.
    origin = low - 2 * cutoff
    shape = np.floor((high - origin) / cutoff).astype(np.int64) + 3
    strides = np.array([shape[1] * shape[2], shape[2], 1])
    keys = np.floor((others - origin) / cutoff).astype(np.int64) @ strides
    order = np.argsort(keys, kind="stable")
    sorted_keys = keys[order]
    # The three cubes of a column along z follow one another.
    columns = (np.floor((points - origin) / cutoff).astype(np.int64) @ strides)[:, None] + (
        _OFFSETS @ strides[:2]
    )
    start = np.searchsorted(sorted_keys, columns - 1, "left").ravel()
    count = np.searchsorted(sorted_keys, columns + 1, "right").ravel() - start
    i = np.repeat(np.arange(len(points)), count.reshape(-1, len(_OFFSETS)).sum(axis=1))
    j = np.repeat(start - np.cumsum(count) + count, count) + np.arange(len(i))
    sorted_others = others[order]
    squared = np.zeros(len(i))
    for axis in range(3):
        squared += (points[:, axis][i] - sorted_others[:, axis][j]) ** 2
    close = np.flatnonzero(squared <= cutoff**2)
    return kept[i[close]], kept_others[order[j[close]]], np.sqrt(squared[close])


def _usable(points: NDArray[np.floating]) -> NDArray[np.intp]:
    """Rows of points that can be positions, [usable]."""
    with np.errstate(invalid="ignore"):
        return np.flatnonzero((np.abs(points) < _MAX_COORDINATE).all(axis=1))
