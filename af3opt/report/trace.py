"""Outlines of structures: enough points for a small picture of a fold."""

import numpy as np

from af3opt.report.packing import pack
from af3opt.report.superpose import REPRESENTATIVE, principal_frame
from af3opt.scores.reading.structure import Structure

# What stands for a ligand's atom in place of a chain, and for a missing pLDDT.
_LIGAND = 255
_NO_PLDDT = 255
_MAX_CHAINS = 250


def trace(structure: Structure, max_points: int) -> str | None:
    """Packs a point for each residue of a polymer and each atom of a ligand.

    Args:
        structure: Any structure.
        max_points: Most points; of more, evenly spaced ones are taken.

    Returns:
        uint8 [5, points], packed: x, y and z with 128 in the middle of the longest axis,
        pLDDT, and the chain (255 for a ligand). None without usable atoms.
    """
    topology = structure.topology
    points = principal_frame(structure)
    chain = topology.residue_chain[topology.atom_residue]
    ligand = np.array([kind == "ligand" for kind in topology.chain_kinds])[chain]
    named = np.array([name in REPRESENTATIVE for name in topology.atom_names])
    chosen = np.flatnonzero((ligand | named) & np.isfinite(points).all(axis=1))
    if not chosen.size:
        return None
    chosen = chosen[:: -(-chosen.size // max_points)]
    places = points[chosen]
    places -= (places.max(axis=0) + places.min(axis=0)) / 2
    scaled = 128 + 127 * places / max(float(np.abs(places).max()), 1.0)
    plddt = structure.b_factors[chosen]
    known = np.isfinite(plddt)
    columns = (
        *np.rint(scaled).T,
        np.where(known, np.clip(np.rint(np.where(known, plddt, 0)), 0, 100), _NO_PLDDT),
        np.where(ligand[chosen], _LIGAND, chain[chosen] % _MAX_CHAINS),
    )
    return pack(np.array(columns, np.uint8))
