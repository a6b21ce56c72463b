"""Writes what is made from the results in benchmarks/search/: reports, and tables of documents."""

import sys
from collections.abc import Mapping
from pathlib import Path

from search_costs import MEMORY_GB_S, TOTAL_GB, costs_table
from written_part import WrittenPart

from af3opt.benchmarks.search_result import (
    SearchResult,
    circumstances,
    comparison_table,
    format_search_result,
    read_search_result,
)

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks" / "search"
_NOTHING = "No results of this version are kept here yet."
SUMMARY = WrittenPart(ROOT / "docs" / "benchmarks.md", "searches", __file__)
MEASURED = WrittenPart(ROOT / "docs" / "searches.md", "measured", __file__)
CALCULATED = WrittenPart(ROOT / "docs" / "searches.md", "calculated", __file__)


def committed_results(folder: Path = RESULTS) -> dict[Path, SearchResult]:
    """Reads every result, by its path."""
    return {path: read_search_result(path) for path in sorted(folder.glob("*.json"))}


def short_table(results: Mapping[Path, SearchResult]) -> str:
    """Returns what is compared, without the details."""
    parts = [
        f"{circumstances(result)}\n\n{comparison_table(result)}" for result in results.values()
    ]
    return "\n\n".join(parts) or _NOTHING


def measured_tables(results: Mapping[Path, SearchResult]) -> str:
    """Returns all that was measured."""
    return "\n".join(map(format_search_result, results.values())).rstrip() or _NOTHING


def calculated_tables(results: Mapping[Path, SearchResult]) -> str:
    """Returns what would be on other machines."""
    parts = [
        f"Calculated from the rates of {result.host.get('cpu')}, for {TOTAL_GB:.0f} GB and "
        f"a memory bandwidth of {MEMORY_GB_S:.0f} GB/s:\n\n{costs_table(result)}"
        for result in results.values()
        if result.rates is not None
    ]
    return "\n\n".join(parts) or _NOTHING


def main() -> int:
    """Rewrites the documents and, beside each result, its report."""
    results = committed_results()
    for path, result in results.items():
        path.with_suffix(".md").write_text(format_search_result(result), encoding="utf-8")
    SUMMARY.write(short_table(results))
    MEASURED.write(measured_tables(results))
    CALCULATED.write(calculated_tables(results))
    return 0


if __name__ == "__main__":
    sys.exit(main())
