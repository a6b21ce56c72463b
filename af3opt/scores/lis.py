"""LIS, cLIS and iLIS: local interaction scores, from aligned errors and contacts.

Source: A.-R. Kim et al., "Enhanced Protein-Protein Interaction Discovery via
AlphaFold-Multimer", bioRxiv 2024.02.19.580970 (LIS), its successor of 2025 (cLIS, iLIS), and
the authors' notebooks (https://github.com/flyark/AFM-LIS,
`integrated_local_interaction_score_20250514.ipynb`), from which the published thresholds
come. With a cutoff of 12 angstrom:

    LIS(A -> B)  = mean of 1 - PAE / 12 over all residue pairs with PAE < 12
    cLIS(A -> B) = the same over pairs that touch as well: CB (CA in glycine) at most
                   8 angstrom apart; with a nucleotide, its P at most 12
    LIS, cLIS    = mean of both directions, each 0 without such pairs
    iLIS         = sqrt(LIS * cLIS)

The nucleotide's distance is that of the authors' notebook for AlphaFold 3: they take four
angstrom off a distance to phosphorus.
"""

import dataclasses
import math

import numpy as np
from numpy.typing import NDArray

PAE_CUTOFF = 12.0
CONTACT_DISTANCE = 8.0
NUCLEIC_CONTACT_DISTANCE = 12.0


@dataclasses.dataclass(frozen=True, slots=True)
class LocalInteraction:
    """Local interaction scores of two chains, each 0 to 1.

    Attributes:
        lis: Over all residue pairs.
        clis: Over residue pairs that touch.
        ilis: Geometric mean of the two.
    """

    lis: float
    clis: float
    ilis: float


def local_interaction(
    forward: NDArray[np.float32],
    backward: NDArray[np.float32],
    touching: tuple[NDArray[np.intp], NDArray[np.intp]],
) -> LocalInteraction:
    """Computes the scores of two chains.

    Args:
        forward: PAE between residues, aligned on the first chain, angstrom, float32
            [residues, residues of the other].
        backward: PAE aligned on the second, float32 [residues of the other, residues].
        touching: Residue pairs that touch: row in the first chain, row in the second.
    """
    i, j = touching
    lis = (_mean_closeness(forward) + _mean_closeness(backward)) / 2
    clis = (_mean_closeness(forward[i, j]) + _mean_closeness(backward[j, i])) / 2
    return LocalInteraction(lis, clis, math.sqrt(lis * clis))


def _mean_closeness(pae: NDArray[np.float32]) -> float:
    """Mean of 1 - PAE / cutoff where PAE is below the cutoff, 0 if it is nowhere."""
    with np.errstate(invalid="ignore"):
        near = pae[pae < PAE_CUTOFF]
    return float(1 - near.mean(dtype=np.float64) / PAE_CUTOFF) if near.size else 0.0
