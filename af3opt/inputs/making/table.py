"""CSV and TSV tables: one row a job, one column a chain."""

import csv
import dataclasses
import difflib
import io
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from af3opt.inputs.findings import shown
from af3opt.inputs.making.cells import (
    parse_chains,
    parse_copies,
    parse_modifications,
    parse_seeds,
)
from af3opt.inputs.making.records import POLYMERS, BadCellError, Harvest, Origin, Part, Record

SUFFIXES = {".csv": ",", ".tsv": "\t", ".tab": "\t"}
# Excel writes this where a comma is the decimal point.
_OTHER_DELIMITER = ";"
_NO_MSA = "none"
_NAMES = ("name", "id")
_SEQUENCE, _SEEDS = "sequence", "seeds"
_CHAIN = re.compile(r"(sequence|protein|rna|dna|ccd|smiles)_?(\d*)")
_ABOUT_CHAIN = re.compile(rf"({_CHAIN.pattern})_(copies|modifications|msa)")
# Of the column `sequence`, these may stand alone.
_ABOUT_SEQUENCE = ("copies", "modifications", "msa")
_KNOWN = (*_NAMES, _SEQUENCE, _SEEDS, *_ABOUT_SEQUENCE, *POLYMERS, "ccd", "smiles")
_NEAR = 0.8


@dataclasses.dataclass(frozen=True, slots=True)
class _Layout:
    """Which column says what: names as they are written.

    Attributes:
        name: Column of names, or "".
        seeds: Column of seeds, or "".
        chains: Column of a chain -> its kind ("sequence" for any) and, for copies,
            modifications and msa, the column that says so.
    """

    name: str
    seeds: str
    chains: Mapping[str, tuple[str, Mapping[str, str]]]


def read_table(text: str, path: Path, delimiter: str, kind: str | None) -> Harvest:
    """Reads a table whose first row names the columns.

    Args:
        text: Content of the file.
        path: The file, for messages.
        delimiter: Character between cells.
        kind: Kind of chains in the column `sequence` that name none.
    """
    harvest = Harvest()
    first = text.split("\n", 1)[0]
    if delimiter == "," and "," not in first and _OTHER_DELIMITER in first:
        delimiter = _OTHER_DELIMITER
    reader = csv.reader(io.StringIO(text), delimiter=delimiter, strict=True)
    try:
        header = [cell.strip() for cell in next(reader, [])]
        layout = _layout(header, path, harvest)
        if layout is None:
            return harvest
        rows = _Rows(header, layout, kind, harvest)
        line = reader.line_num + 1
        for cells in reader:
            # A cell may have several lines; a row is where it begins.
            rows.read([cell.strip() for cell in cells], Origin(path, line))
            line = reader.line_num + 1
    except csv.Error as error:
        harvest.refuse(Origin(path, reader.line_num), f"is no table: {error}")
    if not harvest.records and not harvest.mistakes:
        harvest.refuse(Origin(path), "has no rows below its header")
    return harvest


def _layout(header: Sequence[str], path: Path, harvest: Harvest) -> _Layout | None:
    """Finds out what the columns are; None if the table cannot be read."""
    lowered = [column.lower() for column in header]
    origin = Origin(path, 1)
    twice = next((name for name in lowered if name and lowered.count(name) > 1), None)
    if twice is not None:
        harvest.refuse(origin, f"two columns are named {shown(twice)}")
        return None
    by_name = dict(zip(lowered, header, strict=True))
    chains = {
        name: (match[1], _about(name, by_name))
        for name in lowered
        if (match := _CHAIN.fullmatch(name)) is not None
    }
    if not chains:
        harvest.refuse(
            origin,
            f"no column holds chains; name one sequence, {', '.join(POLYMERS)}, ccd or smiles, "
            "with numbers for several (protein1, protein2)",
        )
        return None
    about = {column.lower() for _, columns in chains.values() for column in columns.values()}
    used = {*chains, *_NAMES, _SEEDS, *about}
    others = [name for name in lowered if name and name not in used]
    for name in others:
        known = {*_KNOWN, *chains} - {name}
        near = difflib.get_close_matches(name, known, n=1, cutoff=_NEAR)
        if near or _ABOUT_CHAIN.fullmatch(name) or name in _ABOUT_SEQUENCE:
            hint = f"did you mean {near[0]!r}" if near else "there is no such chain"
            harvest.refuse(origin.in_column(by_name[name]), f"is not known; {hint}?")
    if harvest.mistakes:
        return None
    if others:
        harvest.remarks.append(
            f"{path}: columns without a meaning here are passed over: {', '.join(others)}"
        )
    named = next((by_name[name] for name in _NAMES if name in by_name), "")
    return _Layout(
        named, by_name.get(_SEEDS, ""), {by_name[name]: what for name, what in chains.items()}
    )


def _about(chain: str, by_name: Mapping[str, str]) -> dict[str, str]:
    """Which columns say more about the chain of a column."""
    about = {}
    for what in _ABOUT_SEQUENCE:
        alone = [what] if chain == _SEQUENCE else []
        name = next((name for name in (f"{chain}_{what}", *alone) if name in by_name), None)
        if name is not None:
            about[what] = by_name[name]
    return about


class _Rows:
    """Reads the rows of one table."""

    def __init__(
        self, header: Sequence[str], layout: _Layout, kind: str | None, harvest: Harvest
    ) -> None:
        self._header = header
        self._layout = layout
        self._kind = kind
        self._harvest = harvest

    def read(self, cells: Sequence[str], origin: Origin) -> None:
        """Reads a row; an empty one is passed over."""
        if not any(cells):
            return
        if len(cells) != len(self._header):
            self._harvest.refuse(origin, f"has {len(cells)} cells for {len(self._header)} columns")
            return
        row = dict(zip(self._header, cells, strict=True))
        known = len(self._harvest.mistakes)
        parts = [
            part for column in self._layout.chains for part in self._chains(row, column, origin)
        ]
        seeds = self._seeds(row, origin)
        if len(self._harvest.mistakes) > known:
            return
        if not parts:
            self._harvest.refuse(origin, "has no chain")
            return
        name = row[self._layout.name] if self._layout.name else ""
        name = name or f"{origin.path.name.partition('.')[0]}_{origin.line}"
        self._harvest.records.append(
            Record(name=name, parts=tuple(parts), origin=origin, seeds=seeds)
        )

    def _seeds(self, row: Mapping[str, str], origin: Origin) -> tuple[int, ...]:
        column = self._layout.seeds
        if not column or not row[column]:
            return ()
        try:
            return parse_seeds(row[column])
        except BadCellError as error:
            self._harvest.refuse(origin.in_column(column), str(error))
            return ()

    def _chains(self, row: Mapping[str, str], column: str, origin: Origin) -> list[Part]:
        """Reads the chains of one cell, with what other cells say about them."""
        kind, about = self._layout.chains[column]
        said = {what: row[name] for what, name in about.items() if row[name]}
        if not row[column]:
            for what in said:
                self._harvest.refuse(
                    origin.in_column(about[what]), f"is set, and {column} is empty"
                )
            return []
        where = place = origin.in_column(column)
        try:
            parts = _parts_of(row[column], kind, self._kind, place)
            for what, text in said.items():
                where = origin.in_column(about[what])
                parts = [_with(part, what, text, alone=len(parts) == 1) for part in parts]
        except BadCellError as error:
            self._harvest.refuse(where, str(error))
            return []
        return parts


def _parts_of(text: str, chain_kind: str, kind: str | None, place: Origin) -> list[Part]:
    if chain_kind == _SEQUENCE:
        return list(parse_chains(text, kind, place))
    if chain_kind == "ccd":
        codes = [code.strip() for code in text.split(";") if code.strip()]
        return [Part(kind="ccd", content=code, origin=place) for code in codes]
    content = text if chain_kind == "smiles" else "".join(text.split())
    return [Part(kind=chain_kind, content=content, origin=place)]


def _with(part: Part, what: str, text: str, *, alone: bool) -> Part:
    """Returns a part with what a cell says about it."""
    if what == "copies":
        return dataclasses.replace(part, copies=parse_copies(text))
    if part.kind not in POLYMERS:
        raise BadCellError(f"is set for a ligand, which has no {what}")
    if not alone:
        raise BadCellError("is set for several chains; give each chain a column of its own")
    if what == "modifications":
        return dataclasses.replace(part, modifications=parse_modifications(text))
    if part.kind == "dna":
        raise BadCellError("is set for DNA, which has no alignment")
    return dataclasses.replace(part, msa="" if text.lower() == _NO_MSA else text)
