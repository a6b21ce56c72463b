"""A table of scores as text for people, as CSV and as Parquet."""

import csv
import importlib
import io
from collections.abc import Sequence
from pathlib import Path

from af3opt.base.atomic import atomic_file, atomic_write_text
from af3opt.base.errors import SetupError
from af3opt.base.installing import pip_install
from af3opt.base.json_types import Json
from af3opt.base.plain_text import inert_cell, visible
from af3opt.scores.columns import COLUMNS, Column, Row

_ARROW_TYPES = {str: "string", int: "int64", float: "float64", bool: "bool_"}
_MISSING = "-"
_LONGEST = 40


def as_csv(rows: Sequence[Row]) -> str:
    """All columns; an empty cell is a value that is undefined or missing."""
    with io.StringIO(newline="") as text:
        writer = csv.DictWriter(text, list(COLUMNS), lineterminator="\n")
        writer.writeheader()
        for row in rows:
            writer.writerow({n: inert_cell(v) if isinstance(v, str) else v for n, v in row.items()})
        return text.getvalue()


def as_text(rows: Sequence[Row]) -> str:
    """The columns that people look at first, rounded and in line."""
    shown = {name: column for name, column in COLUMNS.items() if column.shown}
    lines = [list(shown)]
    lines += [[_cell(row[name], column) for name, column in shown.items()] for row in rows]
    widths = [max(len(line[i]) for line in lines) for i in range(len(shown))]
    to_left = [column.kind is str for column in shown.values()]
    return "".join(
        "  ".join(
            cell.ljust(width) if left else cell.rjust(width)
            for cell, width, left in zip(line, widths, to_left, strict=True)
        ).rstrip()
        + "\n"
        for line in lines
    )


def _cell(value: Json, column: Column) -> str:
    if value is None:
        return _MISSING
    if column.kind is float:
        return f"{value:.{column.digits}f}"
    text = visible(str(value))
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def write_table(path: Path, rows: Sequence[Row]) -> None:
    """Writes a table as Parquet where the file's name ends in .parquet, else as CSV.

    Raises:
        SetupError: Parquet is asked for without pyarrow.
        OSError: the file cannot be written.
    """
    if path.suffix == ".parquet":
        _write_parquet(path, rows)
    else:
        atomic_write_text(path, as_csv(rows))


def _write_parquet(path: Path, rows: Sequence[Row]) -> None:
    try:
        arrow = importlib.import_module("pyarrow")
        parquet = importlib.import_module("pyarrow.parquet")
    except ImportError as error:
        raise SetupError(
            f"--output={path}: Parquet needs pyarrow ({pip_install('parquet')}); or use .csv"
        ) from error
    columns = {
        name: arrow.array([row[name] for row in rows], getattr(arrow, _ARROW_TYPES[column.kind])())
        for name, column in COLUMNS.items()
    }
    with atomic_file(path) as stream:
        parquet.write_table(arrow.table(columns), stream)
