"""What an input says about chemical components, checked with a dictionary at hand."""

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence

from af3opt.inputs.bonds import Atom
from af3opt.inputs.chain import UNKNOWN_RESIDUES, Chain
from af3opt.inputs.findings import Place, shown
from af3opt.inputs.user_ccd import check_values

_ATOMS = "_chem_comp_atom.atom_id"
_ELEMENTS = "_chem_comp_atom.type_symbol"
# Elements of atoms that the engine leaves out, or knows nothing about.
_NOT_MODELLED = frozenset({"H", "D", "X"})
_RESIDUES = {
    "protein": {
        "A": "ALA", "R": "ARG", "N": "ASN", "D": "ASP", "C": "CYS", "Q": "GLN", "E": "GLU",
        "G": "GLY", "H": "HIS", "I": "ILE", "L": "LEU", "K": "LYS", "M": "MET", "F": "PHE",
        "P": "PRO", "S": "SER", "T": "THR", "W": "TRP", "Y": "TYR", "V": "VAL",
    },
    "rna": {letter: letter for letter in "ACGU"},
    "dna": {letter: f"D{letter}" for letter in "ACGT"},
}  # fmt: skip

type Dictionary = Mapping[str, Mapping[str, Sequence[str]]]


def check_components(
    chains: Sequence[Chain],
    bonds: Iterable[tuple[Atom, Atom]],
    ccd: Dictionary,
    place: Place,
    *,
    own: Container[str] = (),
) -> None:
    """Finds codes that the dictionary does not have, or without atoms, and wrong atom names.

    Args:
        chains: The chains of a job.
        bonds: Its bonds.
        ccd: Chemical component dictionary with the job's own components.
        place: Place of the job.
        own: Codes of the components that the job defines itself; their values are checked,
            too, if a chain uses them.
    """
    by_id: dict[str, Chain] = {}
    for chain in chains:
        by_id |= dict.fromkeys(chain.ids, chain)
        for field, code in _codes(chain):
            _check_code(code, ccd, place.inside(chain.label).inside(field))
    used = dict.fromkeys(code for chain in chains for _, code in _codes(chain))
    for code in used:
        if code in own and code in ccd:
            check_values(code, ccd[code], place)
    for bond in bonds:
        for chain_id, residue, name in bond:
            _check_atom_name(by_id[chain_id], chain_id, residue, name, ccd, place)


def _codes(chain: Chain) -> Iterator[tuple[str, str]]:
    yield from (("ccdCodes", code) for code in dict.fromkeys(chain.codes))
    yield from (("modifications", code) for code in dict.fromkeys(chain.modified.values()))


def _check_code(code: str, ccd: Dictionary, place: Place) -> None:
    if code not in ccd:
        upper = code.upper()
        hint = f"; did you mean {upper!r}?" if upper != code and upper in ccd else ""
        place.refuse(
            f"{shown(code)} is not in the chemical component dictionary"
            f"{hint or '; correct it, or define it in userCCD'}"
        )
    elif all(element.upper() in _NOT_MODELLED for element in ccd[code].get(_ELEMENTS, ())):
        place.refuse(
            f"{shown(code)} has no atom that AlphaFold 3 can model; give the component that it "
            "stands for, or leave it out"
        )


def _check_atom_name(
    chain: Chain, chain_id: str, residue: int, name: str, ccd: Dictionary, place: Place
) -> None:
    code = residue_code(chain, residue)
    names = ccd[code].get(_ATOMS, ()) if code in ccd else None
    # CIF quoting is part of the stored value in some dictionaries ("O5'").
    if names is None or name in names or f'"{name}"' in names:
        return
    place.inside("bondedAtomPairs").refuse(
        f"{code} (chain {chain_id}, residue {residue}) has no atom {shown(name)}; its atoms are "
        f"{', '.join(names)}"
    )


def residue_code(chain: Chain, residue: int) -> str:
    """Returns the CCD code of a residue.

    Args:
        chain: The chain; not a SMILES ligand.
        residue: Its position, from 1.
    """
    if not chain.is_polymer:
        return chain.codes[residue - 1]
    letter = chain.sequence[residue - 1]
    plain = _RESIDUES[chain.kind].get(letter, UNKNOWN_RESIDUES[chain.kind])
    return chain.modified.get(residue, plain)
