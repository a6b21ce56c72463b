"""Alignments that an input brings: A3M text, its rows and its columns."""

import itertools
import re
from collections.abc import Mapping

from af3opt.base.a3m import NO_INSERTIONS, WHITE, read_a3m
from af3opt.base.json_types import Json
from af3opt.inputs.chain import KNOWN_LETTERS, LONGEST_WITHOUT_ALIGNMENT, Chain
from af3opt.inputs.findings import Place, shown

_MATCHES = re.compile(r"[A-Z-]*").fullmatch
# Letters that the engine takes for another (`msa_features._PROTEIN_TO_ID`).
_SAME = str.maketrans("BZUJO", "DECXX")
_MOST_LETTERS = 30


def check_alignment(text: str, chain: Chain, place: Place) -> None:
    """Finds what the engine would not take in an alignment.

    Args:
        text: A3M text; "" or white space is an alignment without rows.
        chain: The chain, whose sequence the first row must be.
        place: Place of the alignment.
    """
    rows = read_a3m(text)
    first = next(rows, None)
    if first is None:
        if text.strip(WHITE):
            place.refuse(
                f"{shown(text)} is no alignment: no line begins with '>'; give A3M text, or name "
                f"a file in the field that ends in 'Path'"
            )
        return
    width = _check_row(1, *first, None, place)
    if width is None or not _is_query(first[1], chain, place):
        return
    for number, row in enumerate(rows, start=2):
        if _check_row(number, *row, width, place) is None:
            return


def _check_row(
    number: int, description: str, row: str, width: int | None, place: Place
) -> int | None:
    """Reports what is wrong with a row; returns its columns, None if it cannot be used."""
    kept = row.translate(NO_INSERTIONS)
    if _MATCHES(kept) is None:
        # Lower case of other alphabets counts as an insertion, too.
        kept = "".join(letter for letter in kept if not letter.islower())
        bad = next((letter for letter in kept if _MATCHES(letter) is None), None)
        if bad is not None:
            place.refuse(
                f"{_row_name(number, description)} has {shown(bad)} at position "
                f"{row.index(bad) + 1}: a row has upper-case letters, '-' for gaps and lower-case "
                "letters for insertions, nothing else"
            )
            return None
    if width is not None and len(kept) != width:
        place.refuse(
            f"{_row_name(number, description)} has {len(kept)} columns, the query has {width}; "
            "lower-case letters (insertions) do not count"
        )
        return None
    return len(kept)


def _row_name(number: int, description: str) -> str:
    return f"row {number} ({shown('>' + description)[1:-1]})"


def _is_query(row: str, chain: Chain, place: Place) -> bool:
    """Tells whether the first row is the chain's sequence, as the engine compares them."""
    letters = "".join(letter for letter in row if not letter.islower())
    if len(letters) != len(chain.sequence):
        place.refuse(
            f"row 1 must be the sequence of the chain, but has {len(letters)} columns for "
            f"{len(chain.sequence)} residues"
        )
        return False
    known = KNOWN_LETTERS[chain.kind]
    unknown = "X" if chain.kind == "protein" else "N"
    aligned = letters.translate(_SAME) if chain.kind == "protein" else letters
    for position, (found, residue) in enumerate(zip(aligned, chain.sequence, strict=True), start=1):
        if position in chain.modified:
            continue  # What a modified residue counts as is known to the engine only.
        expected = residue if residue in known else unknown
        seen = found if found in known or found == "-" else unknown
        if seen != expected:
            place.refuse(
                f"row 1 must be the sequence of the chain, but has "
                f"{shown(letters[position - 1])} at position {position} where the sequence has "
                f"{shown(residue)}" + (f" (read as {expected})" if residue != expected else "")
            )
            return False
    return True


def check_combination(body: Mapping[str, Json], place: Place) -> None:
    """Reports a protein's alignments and templates if the engine takes them together only.

    It searches for both alignments (with or without templates), or for templates only, or
    takes what is there (`DataPipeline.process_protein_chain`).

    Args:
        body: The chain's JSON object as it is written.
        place: Place of the chain.
    """
    names = ("unpairedMsa", "pairedMsa")
    given = [name for name in names if body.get(name) is not None or body.get(f"{name}Path")]
    if len(given) == 1:
        (absent,) = set(names) - {*given}
        empty = " (its path is empty)" if body.get(f"{absent}Path") == "" else ""
        place.refuse(
            f'{given[0]} is set and {absent} is not{empty}; set both ("" for an alignment '
            "without rows), or neither to have them searched"
        )
    elif not given and body.get("templates"):
        place.refuse(
            'templates are set and unpairedMsa and pairedMsa are not; set these, too ("" for an '
            "alignment without rows), or leave templates out to have all of them searched"
        )


def pairing_is_certain(chains: list[Chain]) -> bool:
    """Tells whether the engine reads paired alignments: for two different proteins or more.

    It compares sequences in which a modified residue counts as its parent, which is not known
    here: chains that differ only there may be the same.
    """
    proteins = [chain for chain in chains if chain.kind == "protein" and not chain.is_left_out]
    return any(_certainly_differ(one, other) for one, other in itertools.combinations(proteins, 2))


def _certainly_differ(one: Chain, other: Chain) -> bool:
    if len(one) != len(other):
        return True
    if not one.modified and not other.modified:
        return _as_known(one) != _as_known(other)
    modified = {*one.modified, *other.modified}
    pairs = zip(_as_known(one), _as_known(other), strict=True)
    return any(a != b for position, (a, b) in enumerate(pairs, 1) if position not in modified)


def _as_known(chain: Chain) -> str:
    known = KNOWN_LETTERS["protein"]
    return "".join(letter if letter in known else "X" for letter in chain.sequence)


def is_aligned(chain: Chain) -> bool:
    """Tells whether the engine reads alignments of a chain at all."""
    return len(chain) > LONGEST_WITHOUT_ALIGNMENT and not chain.is_left_out
