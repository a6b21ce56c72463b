"""Covalent bonds that an input asks for."""

from collections.abc import Iterable, Mapping

from af3opt.base.json_types import Json
from af3opt.inputs.chain import Chain
from af3opt.inputs.fields import as_list, is_integer
from af3opt.inputs.findings import Place, shown, type_name

type Atom = tuple[str, int, str]


def check_bonds(value: Json, chains: Iterable[Chain], place: Place) -> list[tuple[Atom, Atom]]:
    """Finds what is wrong with `bondedAtomPairs`, as far as it shows without a dictionary.

    Args:
        value: Value of the field; null is no bond.
        chains: The chains of the job.
        place: Place of the job.

    Returns:
        The bonds that can be used.
    """
    if value is None:
        return []
    field = place.inside("bondedAtomPairs")
    by_id = {chain_id: chain for chain in chains for chain_id in chain.ids}
    bonds: dict[tuple[Atom, Atom], None] = {}
    for number, pair in enumerate(as_list(value, field), start=1):
        where = field.inside(f"bond {number}")
        if not isinstance(pair, list) or len(pair) != 2:
            where.refuse(f'give two atoms, such as ["A", 1, "CA"], not {shown(pair)}')
            continue
        usable = [_check_atom(atom, by_id, where) for atom in pair]
        if not all(usable):
            continue
        bond = (tuple(pair[0]), tuple(pair[1]))
        if bond in bonds:
            where.refuse(f"{bond_text(bond)} is there twice; leave one out")
            continue
        bonds[bond] = None
        _warn_of_dropped(bond, by_id, where)
    return list(bonds)


def bond_text(bond: tuple[Atom, Atom]) -> str:
    """How messages name a bond."""
    return " - ".join(f"{chain} {residue} {name}" for chain, residue, name in bond)


def _check_atom(atom: Json, by_id: Mapping[str, Chain], place: Place) -> bool:
    problem = _atom_problem(atom, by_id)
    if problem:
        place.refuse(f"atom {shown(atom)}: {problem}")
    return not problem


def _atom_problem(atom: Json, by_id: Mapping[str, Chain]) -> str:
    if not isinstance(atom, list) or len(atom) != 3:
        return 'give chain, residue and atom name, such as ["A", 1, "CA"]'
    chain_id, residue, name = atom
    if not isinstance(chain_id, str) or chain_id not in by_id:
        return f"there is no chain {shown(chain_id)}"
    if not is_integer(residue):
        return f"residue {shown(residue)} is not an integer; count from 1"
    chain = by_id[chain_id]
    if not 1 <= residue <= len(chain):
        return f"chain {chain_id} has residues 1 to {len(chain)}"
    if not isinstance(name, str):
        return f"the atom name is {type_name(name)}, not a text"
    if chain.smiles is not None:
        return (
            f"chain {chain_id} is given as SMILES, whose atoms have no names; use ccdCodes or "
            "userCCD for it"
        )
    return ""


def _warn_of_dropped(bond: tuple[Json, ...], by_id: Mapping[str, Chain], place: Place) -> None:
    """Tells of a bond that the engine drops (`structure_cleaning.clean_structure`)."""
    ends = [by_id[atom[0]] for atom in bond]
    if all(chain.is_polymer for chain in ends):
        place.warn(
            f"AlphaFold 3 drops {bond_text(bond)}: it takes no bonds between proteins or nucleic "
            "acids"
        )
    elif any(chain.is_left_out for chain in ends):
        place.warn(f"{bond_text(bond)} is dropped with the chain that is left out")
