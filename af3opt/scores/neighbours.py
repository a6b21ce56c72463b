"""Which points of two sets are close to each other."""

import itertools

import numpy as np
from numpy.typing import NDArray

# Beyond this a coordinate is not a position in a molecule but a numerical accident.
_MAX_COORDINATE = 1.0e5
_OFFSETS = np.array(list(itertools.product((-1, 0, 1), repeat=3)))


def close_pairs(
    first: NDArray[np.floating], second: NDArray[np.floating], cutoff: float
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float64]]:
    """Finds the pairs of points that are at most `cutoff` apart.

    `second` is sorted into cubes of the size of the cutoff, so that each point of `first`
    meets only those of 27 cubes.

    Args:
        first: [n, 3]; points that are not finite are close to nothing.
        second: [m, 3].
        cutoff: Largest distance, in the unit of the coordinates.

    Returns:
        Row in `first` and row in `second` of each pair, and its distance; [pairs] each,
        ordered by `first`.
    """
    rows, columns = _usable(first), _usable(second)
    if not len(rows) or not len(columns):
        return np.empty(0, np.intp), np.empty(0, np.intp), np.empty(0, np.float64)
    points, others = first[rows].astype(np.float64), second[columns].astype(np.float64)
    near = ((points >= others.min(axis=0) - cutoff) & (points <= others.max(axis=0) + cutoff)).all(
        axis=1
    )
    rows, points = rows[near], points[near]
    origin = others.min(axis=0) - 2 * cutoff
    shape = np.floor((others.max(axis=0) - origin) / cutoff).astype(np.int64) + 3
    strides = np.array([shape[1] * shape[2], shape[2], 1])
    keys = np.floor((others - origin) / cutoff).astype(np.int64) @ strides
    order = np.argsort(keys, kind="stable")
    sorted_keys = keys[order]
    cubes = (np.floor((points - origin) / cutoff).astype(np.int64) @ strides)[:, None]
    wanted = cubes + _OFFSETS @ strides
    start = np.searchsorted(sorted_keys, wanted, "left")
    count = np.searchsorted(sorted_keys, wanted, "right") - start
    i = np.repeat(np.arange(len(points)), count.sum(axis=1))
    within = np.arange(len(i)) - np.repeat(np.cumsum(count) - count.ravel(), count.ravel())
    j = order[np.repeat(start.ravel(), count.ravel()) + within]
    distance = np.sqrt(((points[i] - others[j]) ** 2).sum(axis=1))
    close = distance <= cutoff
    return rows[i[close]], columns[j[close]], distance[close]


def _usable(points: NDArray[np.floating]) -> NDArray[np.intp]:
    """Rows of points that can be positions, [usable]."""
    with np.errstate(invalid="ignore"):
        return np.flatnonzero((np.abs(points) < _MAX_COORDINATE).all(axis=1))
