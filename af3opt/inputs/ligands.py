"""Ligands and ions: CCD codes or SMILES."""

import contextlib
from collections.abc import Mapping
from typing import Any

from af3opt.base.json_types import Json
from af3opt.inputs.fields import as_list
from af3opt.inputs.findings import Place, shown, type_name


def check_ligand(body: Mapping[str, Json], place: Place) -> tuple[tuple[str, ...], str | None]:
    """Finds what is wrong with a ligand of the alphafold3 dialect.

    Args:
        body: The ligand's JSON object.
        place: Place of the chain.

    Returns:
        Its CCD codes, and its SMILES; empty and None if they cannot be used.
    """
    if body.get("ccdCodes") and body.get("smiles"):
        place.refuse("only one of ccdCodes and smiles can be set")
    elif "ccdCodes" in body:
        if body["ccdCodes"] is None and body.get("smiles"):
            place.inside("ccdCodes").refuse("is null; leave it out where smiles is set")
            return (), None
        return check_codes(body["ccdCodes"], place.inside("ccdCodes")), None
    elif "smiles" in body:
        return (), _check_smiles(body["smiles"], place.inside("smiles"))
    else:
        place.refuse("has neither ccdCodes nor smiles; give one of them")
    return (), None


def check_codes(value: Json, place: Place) -> tuple[str, ...]:
    """Returns a list of CCD codes, empty if it has been reported."""
    codes = as_list(value, place)
    if isinstance(value, list) and not value:
        place.refuse("is empty; give at least one CCD code")
    for code in codes:
        if not isinstance(code, str) or not code.strip():
            place.refuse(f"give CCD codes as texts, not {shown(code)}")
        elif code.startswith("CCD_"):
            place.refuse(f"leave out the prefix 'CCD_' of {shown(code)}")
        else:
            continue
        return ()
    return tuple(codes)


def _check_smiles(smiles: Json, place: Place) -> str | None:
    if not isinstance(smiles, str):
        place.refuse(f"give a text, not {type_name(smiles)}")
        return None
    problem = smiles_problem(smiles)
    if problem:
        place.refuse(problem)
    return smiles


def smiles_problem(smiles: str) -> str:
    """Says why the engine would not take a SMILES string, "" if it would.

    RDKit tells; where it is not installed, only what is empty is found here.
    """
    if not smiles.strip():
        return "is empty; give a SMILES string"
    try:
        from rdkit import Chem, rdBase
    except ImportError:
        return ""
    with contextlib.closing(_Quiet(rdBase)):
        try:
            molecule = Chem.MolFromSmiles(smiles)
        except (ValueError, RuntimeError, TypeError):
            molecule = None
    if molecule is None:
        return f"{shown(smiles)} is not a SMILES string that RDKit can read; correct it"
    if not molecule.GetNumHeavyAtoms():
        return f"{shown(smiles)} has no atom but hydrogen, which AlphaFold 3 does not model"
    return ""


class _Quiet:
    """Keeps RDKit from printing while it is open."""

    def __init__(self, rd_base: Any) -> None:
        self._block = rd_base.BlockLogs()

    def close(self) -> None:
        """Lets RDKit print again."""
        del self._block
