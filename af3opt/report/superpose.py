"""Placing the samples of a job on top of each other, so that they can be compared.

Diffusion draws every sample in an orientation of its own; without this, switching
samples would show tumbling instead of differences.
"""

import numpy as np
from numpy.typing import NDArray

from af3opt.scores.reading.structure import Structure

# Atoms that stand for a residue of a polymer.
REPRESENTATIVE = frozenset(("CA", "C1'"))
_CONFIDENT = 70.0
_MIN_ATOMS = 3
# Beyond this a coordinate is not a position in a molecule but a numerical accident.
_MAX_COORDINATE = 1.0e5


def _usable(structure: Structure) -> NDArray[np.bool_]:
    """Atoms with sane coordinates, bool [atoms]."""
    with np.errstate(invalid="ignore"):
        sane: NDArray[np.bool_] = (np.abs(structure.coordinates) < _MAX_COORDINATE).all(axis=1)
    return sane


def _anchor(reference: Structure, moving: Structure) -> NDArray[np.bool_]:
    """Atoms to superpose on: one a residue, confident ones if there are enough."""
    usable = _usable(reference) & _usable(moving)
    names = np.array([name in REPRESENTATIVE for name in reference.topology.atom_names])
    confident = reference.b_factors >= _CONFIDENT
    for candidate in (usable & names & confident, usable & names, usable):
        if np.count_nonzero(candidate) >= _MIN_ATOMS:
            return candidate
    return usable


def principal_frame(structure: Structure) -> np.ndarray:
    """Centres a structure and turns its longest axis to x, the shortest to z.

    Args:
        structure: Any structure.

    Returns:
        float64 [atoms, 3] in angstrom; NaN where coordinates are unusable.
    """
    usable = _usable(structure)
    points = np.where(usable[:, None], structure.coordinates.astype(np.float64), np.nan)
    if np.count_nonzero(usable) < _MIN_ATOMS:
        return points
    points -= points[usable].mean(axis=0)
    _, _, axes = np.linalg.svd(points[usable], full_matrices=False)
    if np.linalg.det(axes) < 0:  # a reflection would invert every chiral centre
        axes[2] = -axes[2]
    turned: np.ndarray = points @ axes.T
    return turned


def superpose(reference: Structure, target: np.ndarray, moving: Structure) -> np.ndarray:
    """Superposes `moving` on `target`, least squares (Kabsch, Acta Cryst. A32, 922, 1976).

    Args:
        reference: Structure that `target` is a rigid copy of, with the same atoms.
        target: float64 [atoms, 3], angstrom.
        moving: Structure to move.

    Returns:
        float64 [atoms, 3], angstrom; NaN where coordinates are unusable.
    """
    anchor = _anchor(reference, moving)
    points = np.where(_usable(moving)[:, None], moving.coordinates.astype(np.float64), np.nan)
    if np.count_nonzero(anchor) < _MIN_ATOMS:
        return points
    from_centre, to_centre = points[anchor].mean(axis=0), target[anchor].mean(axis=0)
    covariance = (points[anchor] - from_centre).T @ (target[anchor] - to_centre)
    left, _, right = np.linalg.svd(covariance)
    sign = np.diag([1.0, 1.0, np.sign(np.linalg.det(left @ right))])
    moved: np.ndarray = (points - from_centre) @ (left @ sign @ right) + to_centre
    return moved


def rmsd(reference: Structure, target: np.ndarray, moving: Structure, moved: np.ndarray) -> float:
    """Root-mean-square deviation over the atoms superposed on, angstrom; NaN without any."""
    anchor = _anchor(reference, moving)
    if not anchor.any():
        return float("nan")
    return float(np.sqrt(((target[anchor] - moved[anchor]) ** 2).sum(axis=1).mean()))
