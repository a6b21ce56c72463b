"""Writes all that is made from the results in benchmarks/: reports, pictures and a table."""

import sys
from collections.abc import Mapping
from pathlib import Path

from written_part import WrittenPart

from af3opt.base.errors import SetupError
from af3opt.benchmarks.markdown import format_result, summary_table
from af3opt.benchmarks.plot import write_plot
from af3opt.benchmarks.results import SuiteResult, read_result

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks"
PART = WrittenPart(ROOT / "docs" / "benchmarks.md", "benchmarks", __file__)


def committed_results(folder: Path = RESULTS) -> dict[Path, SuiteResult]:
    """Reads every result, by its path."""
    return {path: read_result(path) for path in sorted(folder.glob("*.json"))}


def benchmark_table(results: Mapping[Path, SuiteResult]) -> str:
    """Returns tables with a line for each measured case, or a word that there are none."""
    if not results:
        return "No results of this version are kept here yet."
    details = ", ".join(f"[{path.stem}](../benchmarks/{path.stem}.md)" for path in results)
    return f"{summary_table(list(results.values()))}\n\nStages, spreads and commands: {details}."


def main() -> int:
    """Rewrites the table and, beside each result, its report and picture."""
    results = committed_results()
    for path, result in results.items():
        path.with_suffix(".md").write_text(format_result(result), encoding="utf-8")
        try:
            write_plot(result, path.with_suffix(".svg"))
        except SetupError as error:
            print(error, file=sys.stderr)
    PART.write(benchmark_table(results))
    return 0


if __name__ == "__main__":
    sys.exit(main())
