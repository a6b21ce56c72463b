"""From records to jobs: combined, named, and written as the alphafold3 dialect."""

import dataclasses
import itertools
import re
from collections.abc import Iterable, Iterator, Sequence

from af3opt.base.json_types import Json, JsonObject
from af3opt.inputs.alphafold3 import DIALECT
from af3opt.inputs.chain import chain_id
from af3opt.inputs.making.records import POLYMERS, Part, Record
from af3opt.inputs.names import is_sample_name, longest_name
from af3opt.inputs.polymers import MODIFICATION_FIELDS

# Between the names of what is combined; upstream keeps it in file names.
JOINER = "__"
_UNSAFE = re.compile(r"[^A-Za-z0-9_.-]+")
# Names that the output directory, or what af3opt writes into it, has already.
_TAKEN_NAMES = frozenset({".", "..", ".af3opt", "failed.json", "af3opt_report.html"})


def pairs(records: Sequence[Record], *, with_itself: bool) -> Iterator[Record]:
    """Yields every two records together.

    Args:
        records: The records.
        with_itself: Whether each is also paired with itself.
    """
    for one, other in itertools.combinations(records, 2):
        yield joined(one, other)
    if with_itself:
        yield from (joined(record, record) for record in records)


def against(targets: Sequence[Record], records: Sequence[Record]) -> Iterator[Record]:
    """Yields every record together with every target, target by target."""
    for target in targets:
        for record in records:
            yield joined(target, record)


def joined(one: Record, other: Record) -> Record:
    """Returns two records as one job; seeds are those of the second, or of the first."""
    return Record(
        name=f"{one.name}{JOINER}{other.name}",
        parts=(*one.parts, *other.parts),
        origin=other.origin,
        seeds=other.seeds or one.seeds,
    )


def copied(record: Record, copies: int) -> Record:
    """Returns a record with all its chains several times."""
    if copies == 1:
        return record
    parts = tuple(dataclasses.replace(part, copies=part.copies * copies) for part in record.parts)
    return dataclasses.replace(record, name=f"{record.name}_x{copies}", parts=parts)


def without_relatives(record: Record) -> Record:
    """Returns a record whose proteins and RNA are not searched for: it is a design."""
    parts = tuple(
        part if part.msa is not None or part.given else dataclasses.replace(part, msa="")
        for part in record.parts
    )
    return dataclasses.replace(record, parts=parts)


def in_upper_case(record: Record) -> Record:
    """Returns a record with all letters of its sequences in upper case."""
    parts = tuple(
        dataclasses.replace(part, content=part.content.upper()) if part.kind in POLYMERS else part
        for part in record.parts
    )
    return dataclasses.replace(record, parts=parts)


def job_content(record: Record, name: str, seeds: Iterable[int]) -> JsonObject:
    """Returns a record as a job of the alphafold3 dialect.

    The version is the lowest that has what the job needs, so that every AlphaFold 3 reads it.

    Args:
        record: The record.
        name: The job's name.
        seeds: Seeds for a record that has none of its own.
    """
    entries: list[JsonObject] = []
    number = 0
    for part in record.parts:
        ids = [chain_id(number + copy) for copy in range(1, part.copies + 1)]
        number += part.copies
        entries.append(_entry(part, ids[0] if len(ids) == 1 else ids))
    return {
        "dialect": DIALECT,
        "version": 2 if any(part.msa for part in record.parts) else 1,
        "name": name,
        "modelSeeds": list(record.seeds or seeds),
        "sequences": entries,
    }


def _entry(part: Part, ids: str | list[str]) -> JsonObject:
    if part.kind == "ccd":
        codes = [code.strip() for code in part.content.split(",")]
        return {"ligand": {"id": ids, "ccdCodes": codes}}
    if part.kind == "smiles":
        return {"ligand": {"id": ids, "smiles": part.content}}
    body: dict[str, Json] = {"id": ids, "sequence": part.content}
    if part.modifications:
        code, position = MODIFICATION_FIELDS[part.kind]
        body["modifications"] = [
            {code: name, position: number} for name, number in part.modifications
        ]
    if part.msa is not None and part.kind != "dna":
        body["unpairedMsaPath" if part.msa else "unpairedMsa"] = part.msa
        if part.kind == "protein":
            body |= {"pairedMsa": "", "templates": []}
    return {part.kind: {**body, **part.given}}


class Names:
    """Gives every job a name of its own that files can have."""

    def __init__(self, seeds: Iterable[int]) -> None:
        """Prepares.

        Args:
            seeds: Seeds of the jobs; they are part of file names.
        """
        self._most = longest_name(max(seeds, default=0))
        self._given: set[str] = set()

    def give(self, wanted: str) -> str:
        """Returns a name like the wanted one.

        Upper and lower case do not tell names apart: some file systems do not.
        """
        # Upstream would drop what files cannot have, and sp|P1|X would become spP1X.
        plain = _UNSAFE.sub("_", wanted).strip("_.-") or "job"
        if plain in _TAKEN_NAMES:
            plain = f"{plain}_"
        elif is_sample_name(plain):
            plain = f"job_{plain}"
        name, number = plain[: self._most], 1
        while name.lower() in self._given:
            number += 1
            ending = f"_{number}"
            name = f"{plain[: self._most - len(ending)]}{ending}"
        self._given.add(name.lower())
        return name
