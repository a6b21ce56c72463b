"""Writing jobs in AlphaFold Server's dialect."""

from collections.abc import Sequence

from af3opt.base.json_types import Json, JsonObject
from af3opt.inputs.making.records import BadCellError, Part, Record
from af3opt.inputs.polymers import MODIFICATION_FIELDS
from af3opt.inputs.server import DIALECT, POLYMERS, VERSION

# What AlphaFold Server takes as an ion; it lists them apart from ligands.
_IONS = frozenset({"MG", "ZN", "CL", "CA", "NA", "MN", "K", "FE", "CU", "CO"})
_KEYS = {kind: key for key, kind in POLYMERS.items()}


def server_entry(part: Part) -> JsonObject:
    """Returns a part as an entry of AlphaFold Server's `sequences`.

    Raises:
        BadCellError: the dialect cannot say it.
    """
    if part.kind == "smiles":
        raise BadCellError("AlphaFold Server takes no SMILES; give a CCD code")
    if part.msa is not None or part.given.keys() - {"templates"} or part.given.get("templates"):
        raise BadCellError("AlphaFold Server takes no alignments and templates of your own")
    if part.kind == "ccd":
        if "," in part.content:
            raise BadCellError("AlphaFold Server takes no ligand of several components")
        code = part.content
        if code in _IONS:
            return {"ion": {"ion": code, "count": part.copies}}
        return {"ligand": {"ligand": f"CCD_{code}", "count": part.copies}}
    body: dict[str, Json] = {"sequence": part.content, "count": part.copies}
    if part.modifications:
        code, position = MODIFICATION_FIELDS[part.kind]
        body["modifications"] = [
            {code: f"CCD_{name}", position: number} for name, number in part.modifications
        ]
    if part.given.get("templates") == []:
        body["useStructureTemplate"] = False
    return {_KEYS[part.kind]: body}


def server_content(record: Record, name: str, seeds: Sequence[int]) -> JsonObject:
    """Returns a record as a job of AlphaFold Server's dialect.

    Raises:
        BadCellError: the dialect cannot say it.
    """
    return {
        "name": name,
        "modelSeeds": [str(seed) for seed in record.seeds or seeds],
        "sequences": [server_entry(part) for part in record.parts],
        "dialect": DIALECT,
        "version": VERSION,
    }
