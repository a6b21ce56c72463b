"""What was folded, from the processed input `<name>_data.json`."""

import dataclasses
from collections.abc import Iterator

from af3opt.base.json_types import Json, JsonObject

_KINDS = {"protein": "protein", "rna": "RNA", "dna": "DNA", "ligand": "ligand"}
MSA_FIELDS = ("unpairedMsa", "pairedMsa")


@dataclasses.dataclass(frozen=True, slots=True)
class InputChain:
    """One chain of the input.

    Attributes:
        chain_id: Chain identifier.
        kind: "protein", "RNA", "DNA" or "ligand".
        content: Sequence, component codes or SMILES.
        description: The user's words on it, or "".
        modifications: Number of modified residues.
        msa_rows: Rows of its alignments, the query included; None when not stored.
        templates: Number of templates.
    """

    chain_id: str
    kind: str
    content: str
    description: str
    modifications: int
    msa_rows: int | None
    templates: int


def input_name(data: JsonObject) -> str:
    """The job's name as the user spelt it, or ""."""
    name = data.get("name")
    return name if isinstance(name, str) else ""


def input_chains(data: JsonObject) -> list[InputChain]:
    """Lists the chains of an input; entries of unknown shape are left out."""
    return [
        _chain(identifier, kind, body)
        for kind, body in chain_bodies(data)
        for identifier in chain_identifiers(body)
    ]


def chain_bodies(data: JsonObject) -> Iterator[tuple[str, JsonObject]]:
    """Yields kind and description of each entry of an input's list of chains."""
    entries = data.get("sequences")
    for entry in entries if isinstance(entries, list) else []:
        for key, kind in _KINDS.items():
            body = entry.get(key) if isinstance(entry, dict) else None
            if isinstance(body, dict):
                yield kind, body


def chain_identifiers(body: JsonObject) -> list[str]:
    """The chains that one entry stands for."""
    identifiers = body.get("id")
    listed = identifiers if isinstance(identifiers, list) else [identifiers]
    return [str(identifier) for identifier in listed]


def _chain(identifier: str, kind: str, body: JsonObject) -> InputChain:
    codes = body.get("ccdCodes")
    if kind == "ligand":
        content = " ".join(map(str, codes)) if isinstance(codes, list) else body.get("smiles")
    else:
        content = body.get("sequence")
    alignments = [body[field] for field in MSA_FIELDS if isinstance(body.get(field), str)]
    return InputChain(
        chain_id=identifier,
        kind=kind,
        content=str(content or ""),
        description=str(body.get("description") or ""),
        modifications=_length(body.get("modifications")),
        msa_rows=sum(_rows(text) for text in alignments) if alignments else None,
        templates=_length(body.get("templates")),
    )


def _rows(alignment: str) -> int:
    """Sequences in A3M text."""
    return alignment.count("\n>") + alignment.startswith(">")


def _length(value: Json) -> int:
    return len(value) if isinstance(value, list) else 0
