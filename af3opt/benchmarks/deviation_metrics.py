"""How far two results of the model are from each other, over what is not padding."""

import dataclasses
import math
from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from af3opt.engine.protocols import Array, ModelResult
from af3opt.numerics.arrays import Masks

Observed = Mapping[str, NDArray[np.float64]]

SINGLE, PAIR, DISTOGRAM = "single", "pair", "distogram"
POSITIONS, SUPERPOSED = "positions", "superposed"
PLDDT, PAE = "plddt", "pae"


@dataclasses.dataclass(frozen=True, slots=True)
class Quantity:
    """Something that is compared.

    Attributes:
        title: For tables.
        unit: Of the differences, as tables give them.
        relative: Whether they are given as a share of the reference's RMS.
    """

    title: str
    unit: str
    relative: bool = False


# In the order of a table.
QUANTITIES: Mapping[str, Quantity] = {
    SINGLE: Quantity("single embeddings", "share of their RMS", relative=True),
    PAIR: Quantity("pair embeddings", "share of their RMS", relative=True),
    DISTOGRAM: Quantity("distogram", "probability"),
    POSITIONS: Quantity("coordinates", "Å"),
    SUPERPOSED: Quantity("superposed", "Å"),
    PLDDT: Quantity("pLDDT", "points of 100"),
    PAE: Quantity("PAE", "Å"),
}


@dataclasses.dataclass(frozen=True, slots=True)
class Deviation:
    """A difference between two results.

    Attributes:
        largest: Of a single entry; of an atom, for coordinates.
        rms: Root mean square over all entries.
    """

    largest: float
    rms: float


@dataclasses.dataclass(frozen=True, slots=True)
class Scale:
    """What a difference is to be compared with.

    Attributes:
        entries: Number of entries: numbers, or atoms of all samples.
        rms: Root mean square of the reference; for coordinates, of the atoms'
            distances from their sample's centre.
    """

    entries: int
    rms: float


def observe(result: ModelResult, masks: Masks) -> Observed:
    """Takes what is compared from a result of the model.

    Args:
        result: Post-processed result with embeddings and distogram.
        masks: Which entries are real.

    Returns:
        By names of `QUANTITIES` without SUPERPOSED: numbers (entries,), for
        coordinates (samples, atoms, 3) in Å.
    """
    pair = masks.of("pair")
    logits = np.asarray(result["distogram"]["distogram"], np.float64)[pair]
    positions = np.asarray(result["diffusion_samples"]["atom_positions"], np.float64)
    return {
        SINGLE: _numbers(result["single_embeddings"][masks.token]),
        PAIR: _numbers(result["pair_embeddings"][pair]),
        DISTOGRAM: _softmax(logits).ravel(),
        POSITIONS: positions[:, masks.atom],
        PLDDT: _numbers(result["predicted_lddt"][:, masks.atom]),
        PAE: _numbers(result["full_pae"][:, pair]),
    }


def scales(reference: Observed) -> dict[str, Scale]:
    """Number and size of a reference's entries, by names of `QUANTITIES`."""
    found = {}
    for name, values in reference.items():
        if name == POSITIONS:
            centred = values - values.mean(axis=1, keepdims=True)
            distances = np.linalg.norm(centred, axis=-1).ravel()
            found[POSITIONS] = found[SUPERPOSED] = Scale(distances.size, _rms(distances))
        else:
            found[name] = Scale(values.size, _rms(values))
    return found


def deviations(ours: Observed, reference: Observed) -> dict[str, Deviation]:
    """Compares two results entry by entry; coordinates also after superposition.

    Args:
        ours: See `observe`.
        reference: The same of the other result.

    Returns:
        By names of `QUANTITIES`.
    """
    found = {name: _deviation(ours[name] - reference[name]) for name in ours if name != POSITIONS}
    pairs = list(zip(ours[POSITIONS], reference[POSITIONS], strict=True))
    apart = [mine - other for mine, other in pairs]
    superposed = [superpose(mine, other) - other for mine, other in pairs]
    for name, vectors in ((POSITIONS, apart), (SUPERPOSED, superposed)):
        found[name] = _deviation(np.linalg.norm(np.stack(vectors), axis=-1))
    return found


def superpose(points: NDArray[np.float64], reference: NDArray[np.float64]) -> NDArray[np.float64]:
    """Moves points onto a reference by the rotation and shift of least squares.

    Args:
        points: (atoms, 3).
        reference: (atoms, 3), the same atoms.

    Returns:
        (atoms, 3), without reflection. Kabsch, Acta Cryst. A 34, 827 (1978).
    """
    centre, target = points.mean(axis=0), reference.mean(axis=0)
    left, _, right = np.linalg.svd((points - centre).T @ (reference - target))
    handedness = np.diag([1.0, 1.0, np.sign(np.linalg.det(left @ right))])
    moved: NDArray[np.float64] = (points - centre) @ left @ handedness @ right + target
    return moved


def pooled(parts: Iterable[tuple[Deviation, Scale]]) -> Deviation:
    """The deviation over the entries of several comparisons."""
    parts = list(parts)
    squares = sum(deviation.rms**2 * scale.entries for deviation, scale in parts)
    entries = sum(scale.entries for _, scale in parts)
    return Deviation(max(deviation.largest for deviation, _ in parts), math.sqrt(squares / entries))


def pooled_scale(parts: Iterable[Scale]) -> Scale:
    """The size over the entries of several references."""
    parts = list(parts)
    entries = sum(scale.entries for scale in parts)
    return Scale(entries, math.sqrt(sum(one.rms**2 * one.entries for one in parts) / entries))


def _numbers(array: Array) -> NDArray[np.float64]:
    return np.asarray(array, np.float64).ravel()


def _softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    shares: NDArray[np.float64] = powers / powers.sum(axis=-1, keepdims=True)
    return shares


def _rms(values: NDArray[np.float64]) -> float:
    return float(np.sqrt(np.mean(np.square(values))))


def _deviation(differences: NDArray[np.float64]) -> Deviation:
    return Deviation(_rounded(float(np.abs(differences).max())), _rounded(_rms(differences)))


def _rounded(value: float) -> float:
    """Five digits: more than a deviation has a meaning to."""
    return float(f"{value:.4e}")
