"""Does a predicted structure look like matter? Informational, never a reason to stop.

Four questions to one sample: atoms on top of each other, ligands of the wrong
hand, amino acids of the wrong hand, chains that are torn. The engine answers the
first in its summary (`has_clash`, a threshold per chain) and the second by
`model.scoring.chirality`; the counts and the rest are computed here.
"""

import dataclasses
import logging

import numpy as np
from numpy.typing import NDArray

from af3opt.engine.protocols import Structure
from af3opt.engine.structures import amino_acids, compare_chirality, known_components

_log = logging.getLogger(__name__)

# The engine's own clash distance (`confidences.has_clash`), Å.
_CLASH_DISTANCE = 1.1
# Ideal lengths of the bond between neighbouring residues, Å: peptide C-N (Engh &
# Huber 1991) and O3'-P (Gelbin et al. 1996). Half as long again is a torn chain.
_PEPTIDE_BOND = 1.329
_PHOSPHODIESTER_BOND = 1.607
_TORN = 1.5


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Plausibility:
    """What looks wrong in one sample.

    Attributes:
        clashing_atom_pairs: Pairs of polymer atoms closer than 1.1 Å that are not
            in the same or neighbouring residues.
        inverted_ligands: Chains of single-residue ligands whose stereochemistry
            differs from the component dictionary's.
        inverted_amino_acids: Standard amino acids in D form.
        torn_bonds: Neighbouring residues of a polymer further apart than 1.5 times
            the bond between them.
    """

    clashing_atom_pairs: int
    inverted_ligands: tuple[str, ...]
    inverted_amino_acids: int
    torn_bonds: int

    @property
    def ok(self) -> bool:
        """True when nothing looks wrong."""
        return not (
            self.clashing_atom_pairs
            or self.inverted_ligands
            or self.inverted_amino_acids
            or self.torn_bonds
        )


def check_plausibility(structure: Structure) -> Plausibility:
    """Examines one sample's structure.

    Args:
        structure: The engine's `Structure` with finite coordinates in Å.

    Returns:
        The counts.
    """
    polymers = structure.filter_to_entity_type(protein=True, rna=True, dna=True)
    atoms = _Atoms.of(polymers)
    return Plausibility(
        clashing_atom_pairs=_clashing_pairs(atoms),
        inverted_ligands=_inverted_ligands(structure),
        inverted_amino_acids=_inverted_amino_acids(atoms),
        torn_bonds=_torn(atoms, "C", "N", _PEPTIDE_BOND)
        + _torn(atoms, "O3'", "P", _PHOSPHODIESTER_BOND),
    )


@dataclasses.dataclass(frozen=True, slots=True)
class _Atoms:
    """Polymer atoms as arrays of one length."""

    chain: NDArray[np.str_ | np.object_]
    residue: NDArray[np.int_]
    residue_name: NDArray[np.str_ | np.object_]
    name: NDArray[np.str_ | np.object_]
    xyz: NDArray[np.floating]

    @classmethod
    def of(cls, structure: Structure) -> "_Atoms":
        return cls(
            np.asarray(structure.chain_id),
            np.asarray(structure.res_id).astype(int),
            np.asarray(structure.res_name),
            np.asarray(structure.atom_name),
            np.asarray(structure.coords),
        )

    def positions(self, name: str) -> dict[tuple[str, int], NDArray[np.floating]]:
        """Coordinates of the atoms of this name by (chain, residue)."""
        chosen = np.flatnonzero(self.name == name)
        return {(str(self.chain[i]), int(self.residue[i])): self.xyz[i] for i in chosen}


def _clashing_pairs(atoms: _Atoms) -> int:
    from scipy import spatial

    if not len(atoms.xyz):
        return 0
    pairs = spatial.cKDTree(atoms.xyz).query_pairs(_CLASH_DISTANCE, output_type="ndarray")
    first, second = pairs[:, 0], pairs[:, 1]
    apart = np.abs(atoms.residue[first] - atoms.residue[second]) > 1
    return int((apart | (atoms.chain[first] != atoms.chain[second])).sum())


def _torn(atoms: _Atoms, tail: str, head: str, ideal: float) -> int:
    """Counts residues whose `tail` atom is too far from the next residue's `head`."""
    heads = atoms.positions(head)
    bonds = [
        np.linalg.norm(position - heads[chain, residue + 1])
        for (chain, residue), position in atoms.positions(tail).items()
        if (chain, residue + 1) in heads
    ]
    return sum(bool(length > _TORN * ideal) for length in bonds)


def _inverted_amino_acids(atoms: _Atoms) -> int:
    """Counts D forms: seen from CB, the turn N, C around CA has the other sign."""
    is_standard = np.isin(atoms.residue_name, list(amino_acids()))
    kept = _Atoms(*(getattr(atoms, f.name)[is_standard] for f in dataclasses.fields(_Atoms)))
    nitrogen, alpha, carbonyl, beta = (kept.positions(name) for name in ("N", "CA", "C", "CB"))
    complete = set(nitrogen) & set(alpha) & set(carbonyl) & set(beta)
    volumes = (
        np.dot(
            np.cross(nitrogen[key] - alpha[key], carbonyl[key] - alpha[key]),
            beta[key] - alpha[key],
        )
        for key in complete
    )
    return sum(bool(volume < 0) for volume in volumes)


def _inverted_ligands(structure: Structure) -> tuple[str, ...]:
    """Chains whose ligand the engine finds to be another stereoisomer."""
    ligands = structure.filter_to_entity_type(ligand=True)
    # The engine compares single residues with a dictionary entry; its warnings
    # about all others say nothing about the prediction.
    code_of = {}
    for chain in ligands.chains:
        residues = ligands.filter(chain_id=chain)
        if residues.num_residues(count_unresolved=True) == 1:
            code_of[chain] = residues.res_name[0]
    known = known_components(code_of.values())
    comparable = [chain for chain, code in code_of.items() if code in known]
    if not comparable:
        return ()
    try:
        matches = compare_chirality(ligands.filter(chain_id=comparable))
    except (ValueError, RuntimeError, KeyError) as error:
        _log.debug("Ligand chirality could not be compared: %s", error)
        return ()
    return tuple(sorted(chain for chain, matched in matches.items() if not matched))
