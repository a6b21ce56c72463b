"""`af3opt collect`: one table of the scores of a batch."""

import argparse
import csv
import importlib
import io
import sys
from pathlib import Path
from typing import Any

from af3opt.errors import ExitCode, SetupError, UsageError
from af3opt.output.atomic import atomic_write_text, temporary_sibling
from af3opt.output.scores import COLUMNS, collect_scores

SUMMARY = "make one table of the scores of an output directory"


def main(argv: list[str]) -> int:
    """Runs `af3opt collect` and returns the exit code.

    Raises:
        UsageError: the directory does not exist, or the file's suffix is unknown.
        SetupError: Parquet is asked for without pyarrow.
    """
    parser = argparse.ArgumentParser(prog="af3opt collect", description=SUMMARY)
    parser.add_argument("directory", type=Path, help="output directory of a batch")
    parser.add_argument(
        "--output", type=Path, help="file ending in .csv or .parquet; default: CSV on stdout"
    )
    arguments = parser.parse_args(argv)
    if not arguments.directory.is_dir():
        raise UsageError(f"af3opt collect: {arguments.directory}: no such directory")
    rows = list(collect_scores(arguments.directory))
    if arguments.output is None:
        sys.stdout.write(_as_csv(rows))
    elif arguments.output.suffix == ".csv":
        atomic_write_text(arguments.output, _as_csv(rows))
    elif arguments.output.suffix == ".parquet":
        _write_parquet(arguments.output, rows)
    else:
        raise UsageError(f"--output={arguments.output}: must end in .csv or .parquet")
    return ExitCode.OK


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
            f"--output={path}: Parquet needs pyarrow (pip install pyarrow); or use .csv"
        ) from error
    columns = {column: [row[column] for row in rows] for column in COLUMNS}
    scratch = temporary_sibling(path)
    parquet.write_table(arrow.table(columns), scratch)
    scratch.replace(path)
