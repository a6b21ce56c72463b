"""`af3opt collect`: one table of the scores of a batch."""

import csv
import importlib
import io
import logging
import sys
from pathlib import Path
from typing import Any

from af3opt.base.atomic import atomic_file, atomic_write_text
from af3opt.base.command_parser import CommandParser
from af3opt.base.errors import ExitCode, SetupError, UsageError
from af3opt.output.scores import COLUMNS, collect_scores

SUMMARY = "make one table of the scores of an output directory"

# Columns that are not floating-point numbers; a column without any value has a type too.
_PARQUET_TYPES = {
    "job": "string",
    "directory": "string",
    "seed": "int64",
    "sample": "int64",
    "best": "bool_",
}

_log = logging.getLogger(__name__)


def main(argv: list[str]) -> int:
    """Runs `af3opt collect` and returns the exit code.

    Raises:
        UsageError: the directory does not exist, or the file's suffix is unknown.
        SetupError: Parquet is asked for without pyarrow, or the file cannot be written.
    """
    parser = CommandParser(prog="af3opt collect", description=SUMMARY)
    parser.add_argument("directory", type=Path, help="output directory of a batch")
    parser.add_argument(
        "--output", type=Path, help="file ending in .csv or .parquet; default: CSV on stdout"
    )
    arguments = parser.parse_args(argv)
    if not arguments.directory.is_dir():
        raise UsageError(f"af3opt collect: {arguments.directory}: no such directory")
    rows = list(collect_scores(arguments.directory))
    if not rows:
        _log.warning("No job directory in %s has scores yet", arguments.directory)
    if arguments.output is None:
        sys.stdout.write(_as_csv(rows))
        return ExitCode.OK
    try:
        _write(arguments.output, rows)
    except OSError as error:
        raise SetupError(
            f"--output={arguments.output}: cannot be written: {error.strerror}"
        ) from error
    return ExitCode.OK


def _write(path: Path, rows: list[dict[str, Any]]) -> None:
    if path.suffix == ".csv":
        atomic_write_text(path, _as_csv(rows))
    elif path.suffix == ".parquet":
        _write_parquet(path, rows)
    else:
        raise UsageError(f"--output={path}: must end in .csv or .parquet")


def _as_csv(rows: list[dict[str, Any]]) -> str:
    with io.StringIO(newline="") as text:
        writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        return text.getvalue()


def _write_parquet(path: Path, rows: list[dict[str, Any]]) -> None:
    try:
        arrow = importlib.import_module("pyarrow")
        parquet = importlib.import_module("pyarrow.parquet")
    except ImportError as error:
        raise SetupError(
            f"--output={path}: Parquet needs pyarrow (pip install 'af3opt[parquet]'); or use .csv"
        ) from error
    columns = {
        column: arrow.array(
            [row[column] for row in rows], getattr(arrow, _PARQUET_TYPES.get(column, "float64"))()
        )
        for column in COLUMNS
    }
    with atomic_file(path) as stream:
        parquet.write_table(arrow.table(columns), stream)
