"""What is read from a source before it becomes a job: records, their parts, and mistakes."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from af3opt.base.json_types import Json

POLYMERS = ("protein", "rna", "dna")
LIGANDS = ("ccd", "smiles")


@dataclasses.dataclass(frozen=True, slots=True)
class Origin:
    """Where something was read.

    Attributes:
        path: The file.
        line: Its line, from 1; 0 for the file as a whole.
        column: Column of a table, or "".
    """

    path: Path
    line: int = 0
    column: str = ""

    def __str__(self) -> str:
        line = f":{self.line}" if self.line else ""
        return f"{self.path}{line}" + (f": column {self.column}" if self.column else "")

    def in_column(self, column: str) -> Self:
        """Returns the place of one column of this line."""
        return dataclasses.replace(self, column=column)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One kind of chain of a record, with its copies.

    Attributes:
        kind: "protein", "rna", "dna", "ccd" or "smiles".
        content: Sequence, SMILES, or CCD codes joined by commas.
        origin: Where it was read.
        copies: How many chains of it.
        modifications: CCD code and 1-based position of each modified residue.
        msa: None to have alignments searched, "" for none, else an A3M file.
        given: Fields of the chain's JSON that are passed on as they are.
    """

    kind: str
    content: str
    origin: Origin
    copies: int = 1
    modifications: tuple[tuple[str, int], ...] = ()
    msa: str | None = None
    given: Mapping[str, Json] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What one line of a source asks for: a job, or a part of several jobs.

    Attributes:
        name: Its name as it is written.
        parts: What it consists of.
        origin: Where it was read.
        seeds: Seeds of its own, or none.
    """

    name: str
    parts: tuple[Part, ...]
    origin: Origin
    seeds: tuple[int, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class Mistake:
    """Something that is wrong in a source."""

    origin: Origin
    text: str

    def __str__(self) -> str:
        return f"{self.origin}: {self.text}"


@dataclasses.dataclass(slots=True)
class Harvest:
    """What was read from sources.

    Attributes:
        records: What can be used.
        mistakes: What cannot, each with its place.
        remarks: What the user should know.
    """

    records: list[Record] = dataclasses.field(default_factory=list)
    mistakes: list[Mistake] = dataclasses.field(default_factory=list)
    remarks: list[str] = dataclasses.field(default_factory=list)

    def refuse(self, origin: Origin, text: str) -> None:
        """Notes a mistake."""
        self.mistakes.append(Mistake(origin, text))

    def add(self, other: "Harvest") -> None:
        """Takes over what another source gave."""
        self.records += other.records
        self.mistakes += other.mistakes
        self.remarks += other.remarks


class BadCellError(ValueError):
    """A cell or a line that cannot be understood; the text says why."""
