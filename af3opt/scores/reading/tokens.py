"""Tokens, the rows of every matrix: which residue or atom each one is, and its pLDDT."""

import dataclasses

import numpy as np

from af3opt.scores.reading.confidences import Confidences
from af3opt.scores.reading.structure import STANDARD_RESIDUES, Topology


@dataclasses.dataclass(frozen=True, slots=True)
class Tokens:
    """What each token stands for.

    Attributes:
        chain_ids: Chain ids in token order; `chain` indexes them.
        chain: int32 [tokens].
        number: Residue number, int32 [tokens].
        residue: Residue index in the topology, -1 when it has none, int32 [tokens].
        atom: Atom index for tokens of one atom, else -1, int32 [tokens].
    """

    chain_ids: tuple[str, ...]
    chain: np.ndarray
    number: np.ndarray
    residue: np.ndarray
    atom: np.ndarray

    def __len__(self) -> int:
        return len(self.chain)

    def same_as(self, other: "Tokens") -> bool:
        """Tells whether both list the same tokens in the same order."""
        return (
            self.chain_ids == other.chain_ids
            and np.array_equal(self.chain, other.chain)
            and np.array_equal(self.number, other.number)
            and np.array_equal(self.residue, other.residue)
            and np.array_equal(self.atom, other.atom)
        )


def tokens_of_confidences(confidences: Confidences, topology: Topology | None) -> Tokens | None:
    """Matches the tokens listed in a confidences file with the structure's residues.

    Args:
        confidences: What the file holds.
        topology: The structure's names, or None when it is missing.

    Returns:
        The tokens, or None when the file does not list them consistently.
    """
    chains, numbers = confidences.token_chain_ids, confidences.token_res_ids
    if not chains or not numbers or len(chains) != len(numbers):
        return None
    index = {chain: i for i, chain in enumerate(dict.fromkeys(chains))}
    count = len(chains)
    residue = np.full(count, -1, np.int32)
    atom = np.full(count, -1, np.int32)
    if topology is not None:
        _match(list(zip(chains, numbers, strict=True)), topology, residue, atom)
    return Tokens(
        chain_ids=tuple(index),
        chain=np.array([index[chain] for chain in chains], np.int32),
        number=np.array(numbers, np.int32),
        residue=residue,
        atom=atom,
    )


def _match(
    keys: list[tuple[str, int]], topology: Topology, residue: np.ndarray, atom: np.ndarray
) -> None:
    """Fills `residue` and `atom` for runs of tokens with the same chain and number."""
    chain_ids = topology.chain_ids
    residues = {
        (chain_ids[chain], int(number)): i
        for i, (chain, number) in enumerate(
            zip(topology.residue_chain, topology.residue_number, strict=True)
        )
    }
    first_atom = np.searchsorted(topology.atom_residue, np.arange(len(topology.residue_names) + 1))
    start = 0
    while start < len(keys):
        stop = start
        while stop < len(keys) and keys[stop] == keys[start]:
            stop += 1
        found = residues.get(keys[start])
        if found is not None:
            residue[start:stop] = found
            atoms = np.arange(first_atom[found], first_atom[found + 1])
            one_per_atom = topology.residue_names[found] not in STANDARD_RESIDUES
            if len(atoms) == stop - start and (one_per_atom or len(atoms) > 1):
                atom[start:stop] = atoms
        start = stop


def tokens_of_topology(topology: Topology) -> Tokens:
    """Derives tokens from a structure alone: standard residues whole, others per atom."""
    chain, number, residue, atom = [], [], [], []
    first_atom = np.searchsorted(topology.atom_residue, np.arange(len(topology.residue_names) + 1))
    for i, name in enumerate(topology.residue_names):
        whole = name in STANDARD_RESIDUES
        members = [-1] if whole else range(int(first_atom[i]), int(first_atom[i + 1]))
        for member in members:
            chain.append(int(topology.residue_chain[i]))
            number.append(int(topology.residue_number[i]))
            residue.append(i)
            atom.append(member)
    columns = (np.array(column, np.int32) for column in (chain, number, residue, atom))
    return Tokens(topology.chain_ids, *columns)


def token_plddt(tokens: Tokens, topology: Topology, atom_plddt: np.ndarray) -> np.ndarray:
    """Mean pLDDT of each token's atoms.

    Args:
        tokens: The tokens.
        topology: The structure they belong to.
        atom_plddt: float32 [atoms], 0-100.

    Returns:
        float32 [tokens]; NaN where the token has no atoms or no finite value.
    """
    residues = len(topology.residue_names)
    finite = np.isfinite(atom_plddt)
    owner = topology.atom_residue[finite]
    totals = np.bincount(owner, weights=atom_plddt[finite], minlength=residues)
    counts = np.bincount(owner, minlength=residues)
    with np.errstate(invalid="ignore", divide="ignore"):
        per_residue = (totals / counts).astype(np.float32)
    values = np.where(tokens.residue >= 0, per_residue[tokens.residue], np.nan)
    single = tokens.atom >= 0
    values[single] = atom_plddt[tokens.atom[single]]
    result: np.ndarray = values.astype(np.float32)
    return result
