"""The scores of all samples below an output directory, as one table."""

import csv
import json
from collections.abc import Iterator
from pathlib import Path

from af3opt.base.json_types import JsonObject

COLUMNS = (
    *("job", "directory", "seed", "sample", "ranking_score", "best"),
    *("ptm", "iptm", "fraction_disordered", "has_clash"),
)
_SUMMARY_COLUMNS = ("ptm", "iptm", "fraction_disordered", "has_clash")
_SUFFIX = "_ranking_scores.csv"


def collect_scores(output_dir: Path) -> Iterator[JsonObject]:
    """Yields a row for each sample, job by job.

    Upstream's own output can be read as well. What a file does not hold is None.

    Args:
        output_dir: Directory of the job directories.

    Yields:
        Values by `COLUMNS`; `best` marks the highest ranking score of a job.
    """
    for table in sorted(output_dir.glob(f"*/*{_SUFFIX}")):
        job = table.name.removesuffix(_SUFFIX)
        rows = list(_ranking(table))
        best = max(rows, key=lambda row: row[2], default=None)
        for row in rows:
            seed, sample, score = row
            name = f"seed-{seed}_sample-{sample}"
            summary = _summary(table.parent / name / f"{job}_{name}_summary_confidences.json")
            yield {
                "job": job,
                "directory": table.parent.name,
                "seed": seed,
                "sample": sample,
                "ranking_score": score,
                "best": row == best,
                **{column: summary.get(column) for column in _SUMMARY_COLUMNS},
            }


def _ranking(table: Path) -> Iterator[tuple[int, int, float]]:
    try:
        with table.open(newline="", encoding="utf-8") as stream:
            for row in csv.DictReader(stream):
                yield int(row["seed"]), int(row["sample"]), float(row["ranking_score"])
    except (OSError, KeyError, ValueError, TypeError):
        return


def _summary(path: Path) -> JsonObject:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
