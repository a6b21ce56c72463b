"""pDockQ and pDockQ2: the DockQ that the contacts of two proteins let expect.

pDockQ: P. Bryant, G. Pozzati and A. Elofsson, Nature Communications 13, 1265 (2022), and the
authors' script `pdockq.py` (https://gitlab.com/ElofssonLab/FoldDock):

    pDockQ = 0.724 / (1 + exp(-0.052 (x - 152.611))) + 0.018
    x = mean pLDDT of interface residues * log10(number of contacts)

with contacts between CB atoms (CA in glycine) at most 8 angstrom apart. (FoldDock's first
script adds one to the number of contacts and takes the second chain's pLDDT from the first;
the authors' later scripts do neither.)

pDockQ2: W. Zhu, A. Shenoy, P. Kundrotas and A. Elofsson, Bioinformatics 39, btad424 (2023),
and the authors' script `pdockq2.py` (https://gitlab.com/ElofssonLab/afm-benchmark):

    pDockQ2 = 1.31034849 / (1 + exp(-0.0747157696 (x - 84.7326239))) + 0.00501886443
    x = mean pLDDT of contacts * mean of 1 / (1 + (PAE / 10)^2) over contacts

with contacts between CA atoms at most 8 angstrom apart; a residue counts once for each of its
contacts. The script gives one value a chain, over all chains that it touches. Here it is one
value a direction of each pair, by the same formula, so that the two are equal for two chains.

Both are 0 without contacts.
"""

import math

import numpy as np
from numpy.typing import NDArray

CONTACT_DISTANCE = 8.0
_D0 = 10.0


def pdockq(
    first_plddt: NDArray[np.float32],
    second_plddt: NDArray[np.float32],
    touching: tuple[NDArray[np.intp], NDArray[np.intp]],
) -> float:
    """Computes pDockQ of two proteins.

    Args:
        first_plddt: pLDDT of each residue's CB (CA in glycine), float32 [residues], 0-100.
        second_plddt: Those of the other protein.
        touching: Residue pairs in contact: row in the first, row in the second.

    Returns:
        About 0.018 to 0.742; 0 without contacts.
    """
    i, j = touching
    if not len(i):
        return 0.0
    plddt = np.concatenate([first_plddt[np.unique(i)], second_plddt[np.unique(j)]])
    x = float(plddt.mean(dtype=np.float64)) * math.log10(len(i))
    return _sigmoid(x, 0.724, 152.611, 0.052, 0.018)


def pdockq2(plddt: NDArray[np.float32], pae: NDArray[np.float32]) -> float:
    """Computes pDockQ2 in one direction.

    Args:
        plddt: For each contact, pLDDT of the CA of its residue in the chain that is aligned
            on, float32 [contacts], 0-100.
        pae: PAE of each contact, aligned on that chain, angstrom, float32 [contacts].

    Returns:
        About 0.005 to 1.315; 0 without contacts.
    """
    if not len(plddt):
        return 0.0
    closeness = 1 / (1 + (pae.astype(np.float64) / _D0) ** 2)
    x = float(plddt.mean(dtype=np.float64) * closeness.mean())
    return _sigmoid(x, 1.31034849, 84.7326239, 0.0747157696, 0.00501886443)


def _sigmoid(x: float, height: float, middle: float, slope: float, base: float) -> float:
    return height / (1 + math.exp(-slope * (x - middle))) + base
