"""Writes all that is made from the results in benchmarks/: reports, pictures, README's table."""

import sys
from collections.abc import Mapping
from pathlib import Path

from af3opt.benchmarks.markdown import format_result, summary_table
from af3opt.benchmarks.plot import write_plot
from af3opt.benchmarks.results import SuiteResult, read_result
from af3opt.errors import SetupError

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks"
README = ROOT / "README.md"
BEGIN = "<!-- benchmarks: written by scripts/write_benchmark_table.py -->"
END = "<!-- end of benchmarks -->"


def committed_results(folder: Path = RESULTS) -> dict[Path, SuiteResult]:
    """Reads every result, by its path."""
    return {path: read_result(path) for path in sorted(folder.glob("*.json"))}


def benchmark_table(results: Mapping[Path, SuiteResult]) -> str:
    """Returns tables with a line for each measured case, or a word that there are none."""
    if not results:
        return "No results of this version are kept here yet."
    details = ", ".join(f"[{path.stem}](benchmarks/{path.stem}.md)" for path in results)
    return f"{summary_table(list(results.values()))}\n\nStages, spreads and commands: {details}."


def with_table(readme: str, results: Mapping[Path, SuiteResult]) -> str:
    """Returns the README's text with the table between its two markers replaced."""
    head, begin, rest = readme.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{README.name} lacks the markers of the benchmarks")
    return f"{head}{BEGIN}\n{benchmark_table(results)}\n{END}{tail}"


def main() -> int:
    """Rewrites README.md and, beside each result, its report and picture."""
    results = committed_results()
    for path, result in results.items():
        path.with_suffix(".md").write_text(format_result(result), encoding="utf-8")
        try:
            write_plot(result, path.with_suffix(".svg"))
        except SetupError as error:
            print(error, file=sys.stderr)
    README.write_text(with_table(README.read_text(encoding="utf-8"), results), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
