"""Sequences and modified residues of proteins and nucleic acids."""

from collections.abc import Callable, Mapping

from af3opt.base.json_types import Json
from af3opt.inputs.chain import KNOWN_LETTERS
from af3opt.inputs.fields import as_list, is_integer
from af3opt.inputs.findings import Place, positions_text, shown, type_name

_MOST_LETTERS = 60
_UNKNOWN_LETTER = {"protein": "X", "rna": "N", "dna": "N"}
_FOREIGN_LETTERS = {("rna", "T"): "U", ("dna", "U"): "T"}
# kind -> its two fields of a modified residue, in either dialect.
MODIFICATION_FIELDS = {
    "protein": ("ptmType", "ptmPosition"),
    "rna": ("modificationType", "basePosition"),
    "dna": ("modificationType", "basePosition"),
}


def check_sequence(body: Mapping[str, Json], place: Place) -> str:
    """Finds what is wrong with a sequence.

    Letters that stand for no residue are accepted, as upstream does: `warn_of_letters`
    tells the user. Lower case is not: upstream would fold unknown residues, in silence.

    Args:
        body: The chain's JSON object.
        place: Place of the chain.

    Returns:
        The sequence, "" if there is none that can be used.
    """
    field = place.inside("sequence")
    sequence = body.get("sequence")
    if "sequence" not in body:
        return ""  # The missing field has been reported.
    if not isinstance(sequence, str):
        field.refuse(f"give a text, not {type_name(sequence)}")
        return ""
    if not sequence:
        field.refuse("is empty; give at least one residue")
    strange = _positions(sequence, lambda letter: not letter.isalpha())
    lower = _positions(sequence, str.islower)
    if strange:
        characters = ", ".join(sorted({shown(sequence[position - 1]) for position in strange}))
        field.refuse(
            f"must contain only letters, but has {characters} at {positions_text(strange)}"
            f"{_excerpt(sequence, strange[0])}"
        )
    elif lower:
        field.refuse(
            f"has lower-case letters at {positions_text(lower)}, which would be taken for unknown "
            f"residues; write it in upper case{_excerpt(sequence, lower[0])}"
        )
    return sequence


def _positions(sequence: str, wanted: Callable[[str], bool]) -> list[int]:
    return [position for position, letter in enumerate(sequence, start=1) if wanted(letter)]


def _excerpt(sequence: str, position: int) -> str:
    """The sequence around a position, for messages."""
    if len(sequence) <= _MOST_LETTERS:
        return f" ({shown(sequence)})"
    start = max(0, position - 1 - _MOST_LETTERS // 4)
    return f" (...{shown(sequence[start : start + _MOST_LETTERS // 2])[1:-1]}...)"


def warn_of_letters(kind: str, sequence: str, place: Place) -> None:
    """Warns of letters that stand for no residue; they become unknown residues.

    Args:
        kind: "protein", "rna" or "dna".
        sequence: The sequence.
        place: Place of the chain.
    """
    unknown = sorted(set(sequence) - KNOWN_LETTERS[kind] - {_UNKNOWN_LETTER[kind]})
    if not unknown:
        return
    hints = [
        f" ({letter} of {kind.upper()} is {right})"
        for letter in unknown
        if (right := _FOREIGN_LETTERS.get((kind, letter))) is not None
    ]
    positions = _positions(sequence, unknown.__contains__)
    place.warn(
        f"no residue has the letter {', '.join(unknown)}; it is modelled as an unknown residue"
        f"{''.join(hints)}, at {positions_text(positions)}"
    )


def check_modifications(
    kind: str, body: Mapping[str, Json], length: int, place: Place, *, prefixed: bool = False
) -> dict[int, str]:
    """Finds what is wrong with the modified residues of a chain.

    Args:
        kind: "protein", "rna" or "dna".
        body: The chain's JSON object.
        length: Residues of the chain.
        place: Place of the chain.
        prefixed: Whether codes may begin with `CCD_`, as in AlphaFold Server's dialect.

    Returns:
        1-based position -> CCD code without prefix.
    """
    modified: dict[int, str] = {}
    if "modifications" not in body:
        return modified
    field = place.inside("modifications")
    code_field, position_field = MODIFICATION_FIELDS[kind]
    for number, entry in enumerate(as_list(body["modifications"], field), start=1):
        where = field.inside(f"modification {number}")
        if not isinstance(entry, dict):
            where.refuse(f'give an object such as {{"{code_field}": "SEP", "{position_field}": 1}}')
            continue
        code, position = entry.get(code_field), entry.get(position_field)
        if code_field not in entry or position_field not in entry:
            missing = code_field if code_field not in entry else position_field
            where.refuse(f"the field {missing!r} is missing")
        elif not isinstance(code, str) or not code.strip():
            where.refuse(f"{code_field}: give a CCD code, not {shown(code)}")
        elif code.startswith("CCD_") and not prefixed:
            where.refuse(f"{code_field}: leave out the prefix 'CCD_' of {shown(code)}")
        elif not is_integer(position) or not 1 <= position <= length:
            where.refuse(
                f"{code} at {position_field} {shown(position)}: give an integer from 1 to {length}"
            )
        else:
            if position in modified:
                where.warn(f"position {position} is modified twice; the last one counts")
            modified[position] = code.removeprefix("CCD_")
    return modified
