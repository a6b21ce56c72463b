"""ipSAE: how well one chain is placed relative to another, from aligned errors.

Source: R. L. Dunbrack, "Rēs ipSAE loquunt: What's wrong with AlphaFold's ipTM score and how
to fix it", bioRxiv 2025.02.10.637595, and the author's script `ipsae.py`, version 4
(https://github.com/DunbrackLab/IPSAE). The score of residue i of chain A against chain B is

    mean over j in B with PAE(i, j) < cutoff of 1 / (1 + (PAE(i, j) / d0)^2)

and ipSAE(A -> B) is the largest over i. The variants differ in the number of residues L
that d0 is computed from:

    ipSAE         residues j of B with PAE(i, j) < cutoff, for each i on its own ("d0res")
    ipSAE_d0chn   all residues of both chains
    ipSAE_d0dom   residues of both chains that have any PAE < cutoff with the other chain

    d0(L) = max(least, 1.24 (max(L, 26) - 15)^(1/3) - 1.8)

The formula is that of Yang and Skolnick (Proteins 57, 702, 2004). The least value is 1.0
between proteins. With DNA or RNA it is 2.0, which the script calls arbitrary. (For exactly 27
residues the script has 1.0 in two variants and 1.04, as here, in the first.)
"""

import dataclasses

import numpy as np
from numpy.typing import NDArray

# What the author recommends for AlphaFold 3, angstrom.
PAE_CUTOFF = 10.0
_LEAST_D0 = 1.0
_LEAST_D0_NUCLEIC = 2.0


@dataclasses.dataclass(frozen=True, slots=True)
class Ipsae:
    """ipSAE in one direction, each 0 to 1; 0 when no PAE is below the cutoff.

    Attributes:
        score: ipSAE itself (d0res).
        d0chn: With d0 of the length of both chains.
        d0dom: With d0 of the residues that take part.
    """

    score: float
    d0chn: float
    d0dom: float


def ipsae(pae: NDArray[np.float32], *, nucleic: bool, cutoff: float = PAE_CUTOFF) -> Ipsae:
    """Computes ipSAE of a chain that is aligned on against one that is scored.

    Args:
        pae: Predicted aligned error between their residues, angstrom, float32
            [residues aligned on, residues scored]; NaN counts as beyond the cutoff.
        nucleic: Whether one of the two is DNA or RNA.
        cutoff: Largest error that counts, angstrom, itself excluded.
    """
    with np.errstate(invalid="ignore"):
        near = pae < cutoff
    count = near.sum(axis=1)
    rows = np.flatnonzero(count)
    if not len(rows):
        return Ipsae(0.0, 0.0, 0.0)
    near, count = near[rows], count[rows]
    squared = np.where(near, pae[rows], np.inf).astype(np.float64) ** 2
    taking_part = len(rows) + int(near.any(axis=0).sum())

    def best(lengths: NDArray[np.int_] | int) -> float:
        d0 = np.broadcast_to(_d0(np.asarray(lengths), nucleic=nucleic), count.shape)
        return float(((1 / (1 + squared / d0[:, None] ** 2)).sum(axis=1) / count).max())

    return Ipsae(score=best(count), d0chn=best(sum(pae.shape)), d0dom=best(taking_part))


def _d0(length: NDArray[np.int_], *, nucleic: bool) -> NDArray[np.float64]:
    """The distance at which a residue counts half, angstrom."""
    least = _LEAST_D0_NUCLEIC if nucleic else _LEAST_D0
    scale: NDArray[np.float64] = 1.24 * np.cbrt(np.maximum(length, 26) - 15.0) - 1.8
    return np.maximum(scale, least)
