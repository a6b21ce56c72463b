"""Writes what is made from the results in benchmarks/deviation/: reports, tables of fidelity.md."""

import sys
from collections.abc import Mapping
from pathlib import Path

from written_part import WrittenPart

from af3opt.benchmarks.deviation_markdown import (
    circumstances,
    format_deviations,
    legend,
    table,
    title,
    verdict,
)
from af3opt.benchmarks.deviation_result import (
    FROM_ENGINE,
    FROM_FLOAT32,
    DeviationResult,
    read_deviations,
)

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks" / "deviation"
PART = WrittenPart(ROOT / "docs" / "fidelity.md", "deviations", __file__)


def committed_results(folder: Path = RESULTS) -> dict[Path, DeviationResult]:
    """Reads every result, by its path."""
    return {path: read_deviations(path) for path in sorted(folder.glob("*.json"))}


def section(path: Path, result: DeviationResult) -> str:
    """Returns the part of the document that is about one result."""
    heading = title(result)
    parts = [
        f"### {heading[0].upper()}{heading[1:]}",
        circumstances(result),
        "Distance from float32:",
        table(result, FROM_FLOAT32),
        verdict(result),
        "Distance from the unchanged engine (`--fidelity=exact`):",
        table(result, FROM_ENGINE),
        legend(result),
        f"Single examples, definitions of the variants, and commands: "
        f"[{path.stem}](../benchmarks/deviation/{path.stem}.md).",
    ]
    return "\n\n".join(parts)


def deviation_tables(results: Mapping[Path, DeviationResult]) -> str:
    """Returns the part of the document that is about results."""
    return "\n\n".join(section(path, result) for path, result in results.items())


def main() -> int:
    """Rewrites fidelity.md and, beside each result, its report."""
    results = committed_results()
    for path, result in results.items():
        path.with_suffix(".md").write_text(format_deviations(result), encoding="utf-8")
    PART.write(deviation_tables(results))
    return 0


if __name__ == "__main__":
    sys.exit(main())
