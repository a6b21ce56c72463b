"""Structures in the PDB format, where its fixed columns can hold them.

Format: wwPDB "Atomic Coordinate Entry Format" version 3.3. Its columns limit a
file to 99,999 atoms, chain names of one character, residue numbers up to 9,999 and
coordinates between -999.999 and 9999.999 angstroms.
"""

import dataclasses
from collections.abc import Sequence

MAX_ATOMS = 99_999
MAX_CHAINS = 62
MAX_RESIDUE_NUMBER = 9_999


class PdbLimitError(Exception):
    """The structure does not fit the PDB format; the text says which limit."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PdbAtom:
    """One atom.

    Attributes:
        is_hetero: Written as HETATM.
        name: Atom name, such as "CA".
        residue_name: Component code.
        chain_id: Chain name.
        residue_number: Position in the chain.
        x: Coordinate in angstroms.
        y: Coordinate in angstroms.
        z: Coordinate in angstroms.
        occupancy: Between 0 and 1.
        b_factor: Here the pLDDT, 0 to 100.
        element: Chemical symbol.
    """

    is_hetero: bool
    name: str
    residue_name: str
    chain_id: str
    residue_number: int
    x: float
    y: float
    z: float
    occupancy: float
    b_factor: float
    element: str


def pdb_text(atoms: Sequence[PdbAtom], remarks: Sequence[str] = ()) -> str:
    """Formats atoms as a PDB file.

    Args:
        atoms: Atoms in file order; those of one chain are contiguous.
        remarks: Lines for REMARK 3 records.

    Raises:
        PdbLimitError: something does not fit the format's columns.
    """
    check_pdb_limits(atoms)
    lines = [f"REMARK   3 {remark}"[:80] for remark in remarks]
    serial = 0
    for index, atom in enumerate(atoms):
        serial += 1
        lines.append(_atom_line(serial, atom))
        following = atoms[index + 1] if index + 1 < len(atoms) else None
        if following is None or following.chain_id != atom.chain_id:
            serial += 1
            lines.append(
                f"TER   {_serial(serial)}      {atom.residue_name:>3} {atom.chain_id}"
                f"{atom.residue_number:>4}"
            )
    lines.append("END")
    return "".join(f"{line:<80}\n" for line in lines)


def check_pdb_limits(atoms: Sequence[PdbAtom]) -> None:
    """Raises `PdbLimitError` naming the first limit of the format that is exceeded."""
    if len(atoms) > MAX_ATOMS:
        raise PdbLimitError(f"{len(atoms)} atoms, the format allows {MAX_ATOMS}")
    chains = list(dict.fromkeys(atom.chain_id for atom in atoms))
    if len(chains) > MAX_CHAINS:
        raise PdbLimitError(f"{len(chains)} chains, the format allows {MAX_CHAINS}")
    for chain in chains:
        if len(chain) != 1:
            raise PdbLimitError(f"chain {chain!r}, the format allows one character")
    for atom in atoms:
        _check_columns(atom)


def _check_columns(atom: PdbAtom) -> None:
    """Raises `PdbLimitError` for what one atom's record has no room for."""
    if atom.residue_number > MAX_RESIDUE_NUMBER:
        raise PdbLimitError(
            f"residue number {atom.residue_number}, the format allows {MAX_RESIDUE_NUMBER}"
        )
    if len(atom.residue_name) > 3:
        raise PdbLimitError(f"component {atom.residue_name!r}, the format allows three characters")
    if len(atom.name) > 4:
        raise PdbLimitError(f"atom name {atom.name!r}, the format allows four characters")
    for value in (atom.x, atom.y, atom.z):
        if not -999.9995 < value < 9999.9995:
            raise PdbLimitError(f"coordinate {value}, the format allows -999.999 to 9999.999")


def _serial(number: int) -> str:
    # TER records count too and may pass the limit by the number of chains; readers ignore serials.
    return f"{number % 100_000:>5}"


def _atom_name(atom: PdbAtom) -> str:
    """Names start in column 14, or in 13 when they need four or the element has two letters."""
    if len(atom.name) >= 4 or len(atom.element) == 2:
        return f"{atom.name:<4}"
    return f" {atom.name:<3}"


def _atom_line(serial: int, atom: PdbAtom) -> str:
    record = "HETATM" if atom.is_hetero else "ATOM  "
    return (
        f"{record}{_serial(serial)} {_atom_name(atom)} {atom.residue_name:>3} {atom.chain_id}"
        f"{atom.residue_number:>4}    {atom.x:8.3f}{atom.y:8.3f}{atom.z:8.3f}"
        f"{atom.occupancy:6.2f}{atom.b_factor:6.2f}          {atom.element.upper():>2}"
    )
