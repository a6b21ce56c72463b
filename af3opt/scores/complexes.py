"""One predicted complex as the arrays that scores of interfaces are computed from."""

import dataclasses

import numpy as np
from numpy.typing import NDArray

from af3opt.scores.reading.confidences import Confidences, Scores
from af3opt.scores.reading.structure import Structure, Topology
from af3opt.scores.reading.tokens import Tokens

_NUCLEIC = frozenset(("DNA", "RNA", "DNA/RNA"))
_NONE = -1


@dataclasses.dataclass(frozen=True, slots=True)
class Residues:
    """Residues of one polymer chain, one row each.

    Attributes:
        tokens: Row of each in the PAE matrix, int32 [residues]. A modified residue has a
            token for each atom; its row is that of CA or C1'.
        central: Index of its CA or C1' atom, int32 [residues]; -1 without one.
        facing: Index of its CB atom (CA in glycine, and where CB is missing), or of the
            phosphorus of a nucleotide, int32 [residues]; -1 without one.
    """

    tokens: NDArray[np.int32]
    central: NDArray[np.int32]
    facing: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.tokens)


@dataclasses.dataclass(frozen=True, slots=True)
class Chain:
    """One chain.

    Attributes:
        chain_id: Its id.
        kind: "protein", "DNA", "RNA", "DNA/RNA" or "ligand".
        residues: Its residues; None for ligands and ions.
        token_rows: Rows of all its tokens in the PAE matrix, int32 [tokens].
        atoms: Indices of its atoms other than hydrogen, int32 [atoms].
    """

    chain_id: str
    kind: str
    residues: Residues | None
    token_rows: NDArray[np.int32]
    atoms: NDArray[np.int32]

    @property
    def is_protein(self) -> bool:
        """Whether it is a protein."""
        return self.kind == "protein"

    @property
    def is_nucleic(self) -> bool:
        """Whether it is DNA or RNA."""
        return self.kind in _NUCLEIC


@dataclasses.dataclass(frozen=True, slots=True)
class Complex:
    """A predicted complex.

    Attributes:
        chains: Its chains in token order.
        structure: Its atoms.
        plddt: pLDDT of each atom, float32 [atoms], 0-100.
        pae: Predicted aligned error, angstrom, float32 [tokens, tokens]: row is the token
            aligned on. None when the file lacks it.
        summary: What the engine says of chain pairs.
    """

    chains: tuple[Chain, ...]
    structure: Structure
    plddt: NDArray[np.float32]
    pae: NDArray[np.float32] | None
    summary: Scores


def build_complex(
    structure: Structure, confidences: Confidences, tokens: Tokens, summary: Scores
) -> Complex:
    """Puts together what was read of one sample.

    Args:
        structure: Its structure.
        confidences: Its full confidences.
        tokens: What each row of the PAE matrix stands for.
        summary: Its summary confidences.

    Returns:
        The complex. A PAE matrix that does not fit the tokens is left out.
    """
    topology = structure.topology
    pae = confidences.pae
    plddt = confidences.atom_plddts
    if plddt is None or len(plddt) != len(structure.b_factors):
        plddt = structure.b_factors
    return Complex(
        chains=_chains(topology, tokens),
        structure=structure,
        plddt=plddt,
        pae=pae if pae is not None and len(pae) == len(tokens) else None,
        summary=summary,
    )


def _chains(topology: Topology, tokens: Tokens) -> tuple[Chain, ...]:
    kinds = dict(zip(topology.chain_ids, topology.chain_kinds, strict=True))
    atom_chain = topology.residue_chain[topology.atom_residue]
    heavy = np.array([element not in ("H", "D") for element in topology.elements], bool)
    named = _NamedAtoms(topology)
    chains = []
    for index, chain_id in enumerate(tokens.chain_ids):
        if chain_id not in kinds:
            continue
        rows = np.flatnonzero(tokens.chain == index).astype(np.int32)
        here = atom_chain == topology.chain_ids.index(chain_id)
        kind = kinds[chain_id]
        chains.append(
            Chain(
                chain_id=chain_id,
                kind=kind,
                residues=None if kind == "ligand" else _residues(tokens, rows, named, kind),
                token_rows=rows,
                atoms=np.flatnonzero(here & heavy).astype(np.int32),
            )
        )
    return tuple(chains)


class _NamedAtoms:
    """Finds an atom of each residue by its name."""

    def __init__(self, topology: Topology) -> None:
        self._residues = topology.atom_residue
        self._count = len(topology.residue_names)
        self._names = np.array(topology.atom_names)

    def of_residues(self, *names: str) -> NDArray[np.int32]:
        """Index of the atom with the first of `names` that a residue has, int32 [residues]."""
        found = np.full(self._count, _NONE, np.int32)
        for name in reversed(names):
            atoms = np.flatnonzero(self._names == name)
            found[self._residues[atoms]] = atoms
        return found


def _residues(tokens: Tokens, rows: NDArray[np.int32], named: _NamedAtoms, kind: str) -> Residues:
    """Picks one token a residue, and the atoms that stand for it."""
    protein = kind == "protein"
    central = named.of_residues("CA") if protein else named.of_residues("C1'")
    facing = named.of_residues("CB", "CA") if protein else named.of_residues("P")
    known = rows[tokens.residue[rows] >= 0]
    residue, atom = tokens.residue[known], tokens.atom[known]
    chosen = (atom == _NONE) | (atom == central[residue])
    residue, first = np.unique(residue[chosen], return_index=True)
    return Residues(tokens=known[chosen][first], central=central[residue], facing=facing[residue])
