"""Lists of ligands: SMILES files and SDF files."""

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any  # RDKit has no types

from af3opt.base.errors import SetupError
from af3opt.base.plain_text import text_lines
from af3opt.inputs.findings import shown
from af3opt.inputs.making.records import Harvest, Origin, Part, Record

SMILES_SUFFIXES = (".smi", ".smiles", ".ism")
SDF_SUFFIXES = (".sdf", ".sd", ".mol")
_SPACE = re.compile(r"[\s,;]+")
_END = "$$$$"
# Ends the atoms and bonds of a molecule; data of the molecule may follow.
_MOLECULE_END = re.compile(r"M\s+END\s*")


def read_smiles(text: str, path: Path) -> Harvest:
    """Reads a list of SMILES: one a line, and its name behind it.

    Lines that begin with `#` and a first line that begins with the word SMILES do not
    count. Ligands without a name are numbered.

    Args:
        text: Content of the file.
        path: The file, for messages and names.
    """
    harvest = Harvest()
    for number, line in enumerate(text_lines(text), start=1):
        words = _SPACE.split(line.strip(), maxsplit=1)
        if not any(words) or words[0].startswith("#"):
            continue
        if not words[0]:
            harvest.refuse(Origin(path, number), f"{shown(line.strip())}: holds no SMILES")
            continue
        if number == 1 and words[0].lower() == "smiles":
            continue
        name = words[1].strip() if len(words) > 1 and words[1].strip() else _numbered(path, number)
        _add(harvest, name, words[0], Origin(path, number))
    if not harvest.records and not harvest.mistakes:
        harvest.refuse(Origin(path), "holds no SMILES")
    return harvest


def read_sdf(text: str, path: Path) -> Harvest:
    """Reads the molecules of an SDF file as SMILES, with their stereochemistry.

    Args:
        text: Content of the file.
        path: The file, for messages and names.

    Raises:
        SetupError: RDKit is not installed.
    """
    try:
        from rdkit import Chem, rdBase
    except ImportError as error:
        raise SetupError(
            f"{path}: reading SDF takes RDKit, which is not installed here; pip install rdkit, or "
            "give a list of SMILES"
        ) from error
    harvest = Harvest()
    block = rdBase.BlockLogs()
    try:
        for line, molblock in _molecules(text):
            _add_molecule(harvest, Chem, molblock, Origin(path, line))
    finally:
        del block
    if not harvest.records and not harvest.mistakes:
        harvest.refuse(Origin(path), "holds no molecule")
    return harvest


def _add_molecule(harvest: Harvest, chem: Any, molblock: str, origin: Origin) -> None:
    title = molblock.split("\n", 1)[0].strip()
    name = title or _numbered(origin.path, origin.line)
    if sum(map(bool, map(_MOLECULE_END.fullmatch, molblock.split("\n")))) > 1:
        # RDKit reads the first one, and nobody would miss the others.
        harvest.refuse(
            origin, f"{shown(name)}: several molecules; write a line {_END} behind each of them"
        )
        return
    molecule = None
    with contextlib.suppress(ValueError, RuntimeError):
        molecule = chem.MolFromMolBlock(molblock)
    if molecule is None:
        harvest.refuse(origin, f"{shown(name)}: RDKit cannot read this molecule")
        return
    if molecule.GetNumConformers() and molecule.GetConformer().Is3D():
        # Stereocentres that only the coordinates tell belong to the SMILES, too.
        chem.AssignStereochemistryFrom3D(molecule)
    _add(harvest, name, chem.MolToSmiles(molecule), origin)


def _molecules(text: str) -> Iterator[tuple[int, str]]:
    """Yields the first line's number and the mol block of each molecule."""
    lines: list[str] = []
    first = 1
    for number, line in enumerate(text_lines(text), start=1):
        if line.startswith(_END):
            yield first, "\n".join(lines) + "\n"
            lines, first = [], number + 1
        else:
            lines.append(line)
    if any(line.strip() for line in lines):
        yield first, "\n".join(lines) + "\n"


def _numbered(path: Path, number: int) -> str:
    return f"{path.name.partition('.')[0]}_{number}"


def _add(harvest: Harvest, name: str, smiles: str, origin: Origin) -> None:
    part = Part(kind="smiles", content=smiles, origin=origin)
    harvest.records.append(Record(name=name, parts=(part,), origin=origin))
