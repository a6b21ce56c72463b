"""FASTA files: one record a job, chains of a complex separated by `:`."""

from pathlib import Path

from af3opt.base.plain_text import text_lines
from af3opt.inputs.findings import shown
from af3opt.inputs.making.cells import parse_chains
from af3opt.inputs.making.records import BadCellError, Harvest, Origin, Record

SUFFIXES = (".fasta", ".fa", ".faa", ".fna", ".fas", ".seq")


def read_fasta(text: str, path: Path, kind: str | None) -> Harvest:
    """Reads FASTA text.

    The name of a record is the first word of its header. White space in sequences does
    not count.

    Args:
        text: Content of the file.
        path: The file, for messages.
        kind: Kind of the sequences that name none.
    """
    harvest = Harvest()
    header: tuple[int, str] | None = None
    lines: list[str] = []
    for number, line in enumerate(text_lines(text), start=1):
        if line.startswith(">"):
            _finish(harvest, header, lines, path, kind)
            header, lines = (number, line[1:].strip()), []
        elif header is not None:
            lines.append(line)
        elif line.strip() and not line.startswith(";"):
            harvest.refuse(
                Origin(path, number), f"{shown(line)}: a record begins with a line such as >name"
            )
            return harvest
    _finish(harvest, header, lines, path, kind)
    if header is None and not harvest.mistakes:
        harvest.refuse(Origin(path), "holds no record; a record begins with a line such as >name")
    return harvest


def _finish(
    harvest: Harvest, header: tuple[int, str] | None, lines: list[str], path: Path, kind: str | None
) -> None:
    if header is None:
        return
    number, title = header
    origin = Origin(path, number)
    name = title.split(maxsplit=1)[0] if title else ""
    if not name:
        harvest.refuse(origin, "the header has no name; write >name")
        return
    try:
        parts = parse_chains("".join("".join(lines).split()), kind, origin)
    except BadCellError as error:
        harvest.refuse(origin, f"{shown(name)}: {error}")
        return
    harvest.records.append(Record(name=name, parts=parts, origin=origin))
