"""One chain of an input, as far as its checks need to know each other."""

import dataclasses
from collections.abc import Mapping

from af3opt.base.json_types import Json

# What AlphaFold 3 names residues that it does not know (`residue_names.UNKNOWN_TYPES`).
UNKNOWN_RESIDUES = {"protein": "UNK", "rna": "N", "dna": "DN"}
KNOWN_LETTERS = {
    "protein": frozenset("ACDEFGHIKLMNPQRSTVWY"),
    "rna": frozenset("ACGU"),
    "dna": frozenset("ACGT"),
}
# Chains up to this length get no alignment, and no templates (`features.MSA`, `Templates`).
LONGEST_WITHOUT_ALIGNMENT = 4


@dataclasses.dataclass(frozen=True, slots=True)
class Chain:
    """A chain, or several that are copies of each other.

    Attributes:
        ids: Chain identifiers.
        kind: "protein", "rna", "dna" or "ligand".
        sequence: One-letter sequence of a polymer, "" of a ligand.
        modified: 1-based position -> CCD code of its modified residues.
        codes: CCD codes of a ligand.
        smiles: SMILES of a ligand, None if it has codes.
        body: The chain's own JSON object, with files read in.
    """

    ids: tuple[str, ...]
    kind: str
    sequence: str = ""
    modified: Mapping[int, str] = dataclasses.field(default_factory=dict)
    codes: tuple[str, ...] = ()
    smiles: str | None = None
    body: dict[str, Json] = dataclasses.field(default_factory=dict)

    @property
    def label(self) -> str:
        """How messages name it."""
        return chain_label(self.ids)

    @property
    def is_polymer(self) -> bool:
        """Whether it is a protein or a nucleic acid."""
        return self.kind != "ligand"

    def __len__(self) -> int:
        """Residues, as positions in bonds count them."""
        return len(self.sequence) if self.is_polymer else len(self.codes) or 1

    @property
    def is_left_out(self) -> bool:
        """Whether the engine leaves the chain out: all its residues are one unknown kind.

        Source: `Structure.find_chains_with_unknown_sequence`.
        """
        if not self.is_polymer:
            return len({*self.codes}) == 1 and self.codes[0] in UNKNOWN_RESIDUES.values()
        unknown, known = UNKNOWN_RESIDUES[self.kind], KNOWN_LETTERS[self.kind]
        return bool(self.sequence) and all(
            self.modified.get(position, "" if letter in known else unknown) == unknown
            for position, letter in enumerate(self.sequence, start=1)
        )


def chain_label(ids: tuple[str, ...]) -> str:
    """How messages name a chain and its copies."""
    return f"chain {', '.join(ids)}" if len(ids) <= 4 else f"chain {ids[0]} to {ids[-1]}"


def chain_id(number: int) -> str:
    """Returns the identifier that AlphaFold Server's dialect gives a chain.

    They run A to Z, then AA, BA, CA (source: `mmcif.int_id_to_str_id`).

    Args:
        number: Number of the chain, from 1.
    """
    letters = ""
    while number > 0:
        number, letter = divmod(number - 1, 26)
        letters += chr(ord("A") + letter)
    return letters
