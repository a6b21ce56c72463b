"""Alignments like those that searches return, for inputs that no database was searched for.

How a row comes about: The query's family has subfamilies, about the square root of
the number of rows. The ancestor of each has diverged from the query, a member from its
ancestor. Positions evolve at rates of their own (gamma distributed, shape 0.7), and a
changed residue is more often than not one of its own kind. Members inherit the
ancestor's deletions and insertions, have a few of their own, and half of them cover a
part of the query only, as local alignments do. Rows are in the order of their
identity with the query, best first, as a search lists them.

No statement about proteins is meant; the point is that bytes repeat as much, and as
little, as in a real alignment, which letters drawn at random for each row do not.
"""

import dataclasses

import numpy as np

LETTERS = "ARNDCQEGHILKMFPSTWYV"
_KINDS = ("AGST", "ILMV", "FWY", "DE", "KR", "NQH", "C", "P")
# A changed residue stays within its kind this often.
_WITHIN_KIND = 0.6
_RATE_SHAPE = 0.7
# Substitutions for each position: an ancestor's from the query, a member's from its ancestor.
_ANCESTOR_DISTANCE = (0.4, 4.0)
_MEMBER_DISTANCE = 0.5
# One deletion and one insertion of an ancestor for so many positions; members have one each.
_POSITIONS_PER_INDEL = 60
_MEAN_INDEL = 4
# A member that covers a part of the query covers at least this share.
_LEAST_COVER = 0.3
_SPECIES = ("HUMAN", "MOUSE", "YEAST", "ECOLI", "ARATH", "DROME")


@dataclasses.dataclass(frozen=True, slots=True)
class _Relative:
    """A sequence aligned to the query.

    Attributes:
        residues: uint8 (positions,) index into `LETTERS`.
        deleted: bool (positions,) where it has none.
        inserted: Position -> residues before it.
    """

    residues: np.ndarray
    deleted: np.ndarray
    inserted: dict[int, str]

    def descendant(
        self, distance: float, indels: float, rates: np.ndarray, generator: np.random.Generator
    ) -> "_Relative":
        """Returns a sequence that has evolved from this one."""
        changed = generator.random(len(rates)) < 1 - np.exp(-rates * distance)
        residues = np.where(changed, _changed(self.residues, generator), self.residues)
        deleted = self.deleted.copy()
        for _ in range(generator.poisson(indels)):
            start = generator.integers(len(rates))
            deleted[start : start + generator.geometric(1 / _MEAN_INDEL)] = True
        inserted = dict(self.inserted)
        for _ in range(generator.poisson(indels)):
            drawn = generator.integers(0, len(LETTERS), generator.geometric(1 / _MEAN_INDEL))
            inserted[int(generator.integers(1, len(rates)))] = "".join(
                LETTERS[letter].lower() for letter in drawn
            )
        return _Relative(residues, deleted, inserted)

    def row(self) -> str:
        """Returns the A3M row."""
        letters = np.where(self.deleted, "-", np.array(list(LETTERS))[self.residues]).tolist()
        for place, residues in self.inserted.items():
            # Not between gaps: an insertion is between residues of the sequence.
            if not self.deleted[place]:
                letters[place] = residues + letters[place]
        return "".join(letters)


def family_alignment(sequence: str, rows: int, generator: np.random.Generator) -> str:
    """Makes an alignment.

    Args:
        sequence: The query, of the twenty amino acids.
        rows: Its rows, the query's own included.
        generator: Random numbers.

    Returns:
        A3M text with UniProt-like descriptions.
    """
    rates = generator.gamma(_RATE_SHAPE, 1 / _RATE_SHAPE, len(sequence))
    query = _Relative(
        np.array([LETTERS.index(letter) for letter in sequence], np.uint8),
        np.zeros(len(sequence), bool),
        {},
    )
    indels = len(sequence) / _POSITIONS_PER_INDEL
    ancestors = [
        query.descendant(generator.uniform(*_ANCESTOR_DISTANCE), indels, rates, generator)
        for _ in range(max(1, int(np.sqrt(rows))))
    ]
    members = []
    for _ in range(rows - 1):
        ancestor = ancestors[generator.integers(len(ancestors))]
        distance = generator.exponential(_MEMBER_DISTANCE)
        member = ancestor.descendant(distance, 1.0, rates, generator)
        _cut(member, generator)
        members.append(member)
    members.sort(key=lambda member: -_identities(member, query))
    text = [">query", sequence]
    for number, member in enumerate(members):
        species = _SPECIES[generator.integers(len(_SPECIES))]
        text += [f">tr|A0A{number:05d}|A0A{number:05d}_{species}/1-{len(sequence)}", member.row()]
    return "\n".join(text) + "\n"


def _changed(residues: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Draws a residue for each position, mostly of the kind of the one that is there."""
    anything = generator.integers(0, len(LETTERS), len(residues), dtype=np.uint8)
    choices = generator.integers(0, _MEMBERS.shape[1], len(residues))
    alike = _MEMBERS[residues, choices]
    return np.where(generator.random(len(residues)) < _WITHIN_KIND, alike, anything)


def _cut(member: _Relative, generator: np.random.Generator) -> None:
    """Lets half of the members cover a part of the query only."""
    length = len(member.residues)
    if generator.random() < 0.5:
        cover = int(length * generator.uniform(_LEAST_COVER, 1.0))
        start = int(generator.integers(0, length - cover + 1))
        member.deleted[:start] = True
        member.deleted[start + cover :] = True


def _identities(member: _Relative, query: _Relative) -> int:
    return int(np.count_nonzero((member.residues == query.residues) & ~member.deleted))


def _kind_members() -> np.ndarray:
    """Returns uint8 (letters, 12): residues of each one's kind, repeated to the same number."""
    kind_of = {letter: kind for kind in _KINDS for letter in kind}
    columns = [[kind_of[letter][n % len(kind_of[letter])] for n in range(12)] for letter in LETTERS]
    return np.array([[LETTERS.index(letter) for letter in column] for column in columns], np.uint8)


_MEMBERS = _kind_members()
