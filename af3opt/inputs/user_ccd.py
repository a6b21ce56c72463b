"""Components that a job defines itself (`userCCD`)."""

import collections
import math
import re
from collections.abc import Iterator, Mapping, Sequence

from af3opt.inputs.findings import Place, shown

# What the engine demands of each component (`folding_input._validate_user_ccd_keys`).
_ITEMS = (
    *("_chem_comp.id", "_chem_comp.name", "_chem_comp.type", "_chem_comp.formula"),
    *("_chem_comp.mon_nstd_parent_comp_id", "_chem_comp.pdbx_synonyms"),
    *("_chem_comp.formula_weight", "_chem_comp_atom.comp_id", "_chem_comp_atom.atom_id"),
    *("_chem_comp_atom.type_symbol", "_chem_comp_atom.charge"),
    *(f"_chem_comp_atom.pdbx_model_Cartn_{axis}_ideal" for axis in "xyz"),
    *("_chem_comp_bond.atom_id_1", "_chem_comp_bond.atom_id_2"),
    *("_chem_comp_bond.value_order", "_chem_comp_bond.pdbx_aromatic_flag"),
)
_TEXT_BLOCK = re.compile(r"^;.*?^;", re.DOTALL | re.MULTILINE)
_COMPONENT = re.compile(r"^data_(\S+)", re.MULTILINE)
_MOST_NAMED = 3
_ATOM = "_chem_comp_atom."
_BOND = "_chem_comp_bond."
# The engine's features hold so many characters of the name of an atom.
_LONGEST_ATOM_NAME = 4
# Atoms that the model has no features of.
_LEFT_OUT = frozenset({"H", "D"})
_UNKNOWN = "?"


def check_user_ccd(text: str, place: Place) -> None:
    """Finds what the engine would not take; it reads the values itself.

    Args:
        text: Components in mmCIF.
        place: Place of the job.
    """
    field = place.inside("userCCD")
    if not text.strip():
        field.refuse("is empty; leave it out, or give components in mmCIF")
    elif not text.startswith("data_"):
        field.refuse(f"must start with 'data_', but starts with {shown(text[:20])}; give mmCIF")
    else:
        _, *blocks = _COMPONENT.split(_TEXT_BLOCK.sub("", text))
        for name, number in collections.Counter(blocks[::2]).items():
            if number > 1:
                field.warn(
                    f"component {shown(name)} is defined {number} times; AlphaFold 3 uses one"
                )
        for name, block in zip(blocks[::2], blocks[1::2], strict=True):
            _check_items(name, block, field)


def defined_components(text: str) -> list[str]:
    """Returns the names of the components in mmCIF, as often as they are defined."""
    return _COMPONENT.findall(_TEXT_BLOCK.sub("", text))


def check_values(name: str, component: Mapping[str, Sequence[str]], place: Place) -> None:
    """Finds values of a component by which its featurisation would fail.

    Args:
        name: Of the component.
        component: Its items, as the engine has read them.
        place: Place of the job.
    """
    inside = place.inside("userCCD").inside(f"component {shown(name)}")
    for problem in _problems(component):
        inside.refuse(problem)


def _problems(component: Mapping[str, Sequence[str]]) -> Iterator[str]:
    atoms = component.get(f"{_ATOM}atom_id", ())
    yield from _name_problems(atoms, component.get(f"{_ATOM}type_symbol", ()))
    for atom, charge in zip(atoms, component.get(f"{_ATOM}charge", ()), strict=False):
        if charge != _UNKNOWN and not _is_integer(charge):
            yield f"the charge of atom {shown(atom)} is {shown(charge)}; give a whole number"
    for axis in "xyz":
        item = f"pdbx_model_Cartn_{axis}_ideal"
        for atom, value in zip(atoms, component.get(_ATOM + item, ()), strict=False):
            if _is_not_finite(value):
                yield f"{item} of atom {shown(atom)} is {shown(value)}; give a number or ?"
    ends = [*component.get(f"{_BOND}atom_id_1", ()), *component.get(f"{_BOND}atom_id_2", ())]
    for atom in dict.fromkeys(ends):
        if atom not in atoms:
            yield f"a bond names atom {shown(atom)}, which the component does not have"


def _name_problems(atoms: Sequence[str], elements: Sequence[str]) -> Iterator[str]:
    for atom, number in collections.Counter(atoms).items():
        if number > 1:
            yield f"{number} atoms are named {shown(atom)}; give each a name of its own"
    for atom, element in zip(atoms, elements, strict=False):
        if len(atom) > _LONGEST_ATOM_NAME and element.upper() not in _LEFT_OUT:
            yield (
                f"the name of atom {shown(atom)} has more than {_LONGEST_ATOM_NAME} characters; "
                "shorten it"
            )


def _is_integer(text: str) -> bool:
    try:
        int(text)
    except ValueError:
        return False
    return True


def _is_not_finite(text: str) -> bool:
    try:
        return not math.isfinite(float(text))
    except ValueError:  # The engine can do without such a coordinate.
        return False


def _check_items(name: str, block: str, place: Place) -> None:
    given = {*block.split()}
    missing = [item for item in _ITEMS if item not in given]
    if missing:
        more = f" and {len(missing) - _MOST_NAMED} more" if len(missing) > _MOST_NAMED else ""
        place.refuse(
            f"component {shown(name)} lacks {', '.join(missing[:_MOST_NAMED])}{more}; see "
            "AlphaFold 3's documentation for what a component needs"
        )
