"""Writes the table of measured times into README.md, from the results in benchmarks/."""

import sys
from pathlib import Path

from af3opt.benchmarks.markdown import summary_table
from af3opt.benchmarks.results import read_result

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks"
README = ROOT / "README.md"
BEGIN = "<!-- benchmarks: written by scripts/write_benchmark_table.py -->"
END = "<!-- end of benchmarks -->"


def benchmark_table() -> str:
    """Returns a Markdown table with a line for each measured case."""
    return summary_table([read_result(path) for path in sorted(RESULTS.glob("*.json"))])


def with_table(readme: str) -> str:
    """Returns the README's text with the table between its two markers replaced."""
    head, _, rest = readme.partition(BEGIN)
    _, _, tail = rest.partition(END)
    return f"{head}{BEGIN}\n{benchmark_table()}\n{END}{tail}"


def main() -> int:
    """Rewrites README.md in place."""
    README.write_text(with_table(README.read_text(encoding="utf-8")), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
