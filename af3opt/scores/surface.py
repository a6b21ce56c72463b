"""The surface that two chains bury between them.

Buried area = SASA(A) + SASA(B) - SASA(AB), in square angstroms, both sides together. SASA
is the solvent-accessible surface of Shrake and Rupley (J. Mol. Biol. 79, 351, 1973): points
spread evenly over a sphere around each atom, of its radius and the probe's, count when no
other atom's sphere holds them. Only points that the other chain covers and the own chain
does not can be buried; so only those are looked at, and other chains of the complex do not
matter.
"""

import functools

import numpy as np
from numpy.typing import NDArray

from af3opt.scores.neighbours import close_pairs

PROBE_RADIUS = 1.4
# On the sphere around an atom.
POINTS = 100
# Van der Waals radii, angstrom: Bondi (J. Phys. Chem. 68, 441, 1964), and for what is not
# there Mantina et al. (J. Phys. Chem. A 113, 5806, 2009) and Alvarez (Dalton Trans. 42,
# 8617, 2013).
_RADII = {
    "C": 1.70, "N": 1.55, "O": 1.52, "S": 1.80, "P": 1.80, "SE": 1.90, "F": 1.47, "CL": 1.75,
    "BR": 1.85, "I": 1.98, "B": 1.92, "SI": 2.10, "AS": 1.85, "MG": 1.73, "ZN": 1.39, "NA": 2.27,
    "K": 2.75, "CA": 2.31, "CU": 1.40, "NI": 1.63, "CD": 1.58, "HG": 1.55, "FE": 2.44,
    "MN": 2.45, "CO": 2.40,
}  # fmt: skip
_OTHER_RADIUS = 1.80
# Products of this many rows stay in the cache, and below the size at which BLAS would start
# threads, which take longer to meet than the product on a machine that is busy.
_PRODUCT_ROWS = 1000


def atom_radii(elements: tuple[str, ...]) -> NDArray[np.float32]:
    """Van der Waals radius of each atom, angstrom, float32 [atoms]."""
    distinct = {element: _RADII.get(element.upper(), _OTHER_RADIUS) for element in set(elements)}
    return np.array([distinct[element] for element in elements], np.float32)


def buried_area(
    first: NDArray[np.floating],
    first_radii: NDArray[np.float32],
    second: NDArray[np.floating],
    second_radii: NDArray[np.float32],
    points: int = POINTS,
) -> float:
    """Area that two sets of atoms bury between them, square angstroms.

    Args:
        first: Coordinates, angstrom, [n, 3].
        first_radii: Van der Waals radii, angstrom, [n].
        second: Coordinates, angstrom, [m, 3].
        second_radii: Van der Waals radii, angstrom, [m].
        points: Points on the sphere around each atom.
    """
    sphere = _sphere(points)
    sides = ((first, first_radii, second, second_radii), (second, second_radii, first, first_radii))
    return sum(_covered_area(*side, sphere) for side in sides)


def _covered_area(
    own: NDArray[np.floating],
    own_radii: NDArray[np.float32],
    other: NDArray[np.floating],
    other_radii: NDArray[np.float32],
    sphere: NDArray[np.float32],
) -> float:
    """Area of `own` that is accessible without `other` and not with it."""
    reach = own_radii + np.float32(PROBE_RADIUS)
    other_reach = other_radii + np.float32(PROBE_RADIUS)
    atom, neighbour = _overlapping(own, reach, other, other_reach)
    if not len(atom):
        return 0.0
    near = np.unique(atom)
    covered = _hidden_points(own[near], reach[near], np.searchsorted(near, atom),
                             other[neighbour], other_reach[neighbour], sphere)  # fmt: skip
    touched = covered.any(axis=1)
    near, covered = near[touched], covered[touched]
    atom, neighbour = _overlapping(own[near], reach[near], own, reach)
    others = neighbour != near[atom]
    atom, neighbour = atom[others], neighbour[others]
    hidden = _hidden_points(own[near], reach[near], atom, own[neighbour], reach[neighbour], sphere)
    buried = np.count_nonzero(covered & ~hidden, axis=1)
    return float((buried * 4 * np.pi * reach[near].astype(np.float64) ** 2).sum() / len(sphere))


def _overlapping(
    points: NDArray[np.floating],
    reach: NDArray[np.float32],
    others: NDArray[np.floating],
    other_reach: NDArray[np.float32],
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Pairs of spheres that overlap, ordered by the first."""
    if not len(reach) or not len(other_reach):
        return np.empty(0, np.intp), np.empty(0, np.intp)
    i, j, distance = close_pairs(points, others, float(reach.max() + other_reach.max()))
    overlap = distance < reach[i] + other_reach[j]
    return i[overlap], j[overlap]


def _hidden_points(
    centres: NDArray[np.floating],
    reach: NDArray[np.float32],
    atom: NDArray[np.intp],
    neighbours: NDArray[np.floating],
    neighbour_reach: NDArray[np.float32],
    sphere: NDArray[np.float32],
) -> NDArray[np.bool_]:
    """Tells which points on the spheres of atoms lie inside a neighbour's.

    A point at `centre + reach * u` is closer to a neighbour at `centre + v` than its reach r
    when u . v > (reach^2 + v^2 - r^2) / (2 reach).

    Args:
        centres: [atoms, 3].
        reach: [atoms].
        atom: Row of `centres` for each neighbour, ascending, [pairs].
        neighbours: [pairs, 3].
        neighbour_reach: [pairs].
        sphere: [points, 3].

    Returns:
        bool [atoms, points].
    """
    hidden = np.zeros((len(centres), len(sphere)), bool)
    if not len(atom):
        return hidden
    vectors = (neighbours - centres[atom]).astype(np.float32)
    own = reach[atom]
    limit = (own**2 + (vectors**2).sum(axis=1) - neighbour_reach**2) / (2 * own)
    inside = np.empty((len(atom), len(sphere)), bool)
    for start in range(0, len(atom), _PRODUCT_ROWS):
        rows = slice(start, start + _PRODUCT_ROWS)
        np.greater(vectors[rows] @ sphere.T, limit[rows, None], out=inside[rows])
    present, first = np.unique(atom, return_index=True)
    hidden[present] = np.logical_or.reduceat(inside, first, axis=0)
    return hidden


@functools.cache
def _sphere(count: int) -> NDArray[np.float32]:
    """Points spread evenly over the unit sphere along a spiral, float32 [count, 3].

    Each turns by the golden angle from the last, at equal steps of height.
    """
    height = 1 - (2 * np.arange(count) + 1) / count
    angle = np.pi * (3 - np.sqrt(5)) * np.arange(count)
    radius = np.sqrt(1 - height**2)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle), height], 1).astype(np.float32)
