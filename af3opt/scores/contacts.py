"""Contacts: residues of two chains that touch.

Two residues are in contact when any two of their atoms, hydrogen left out, are at most
5 angstrom apart. This is CAPRI's definition (Méndez et al., Proteins 52, 51, 2003), which
DockQ uses too. A ligand counts as one residue, a glycan as one for each sugar.
"""

import numpy as np
from numpy.typing import NDArray

from af3opt.scores.complexes import Chain
from af3opt.scores.neighbours import close_pairs
from af3opt.scores.reading.structure import Structure

CONTACT_DISTANCE = 5.0


def residue_contacts(structure: Structure, first: Chain, second: Chain) -> NDArray[np.int32]:
    """Lists the contacts of two chains.

    Args:
        structure: The complex.
        first: A chain of it.
        second: Another.

    Returns:
        Residue indices in the structure's topology, int32 [contacts, 2], ascending.
    """
    points = structure.coordinates
    i, j, _ = close_pairs(points[first.atoms], points[second.atoms], CONTACT_DISTANCE)
    owner = structure.topology.atom_residue
    pairs = np.stack([owner[first.atoms[i]], owner[second.atoms[j]]], axis=1)
    return np.unique(pairs, axis=0).astype(np.int32)
