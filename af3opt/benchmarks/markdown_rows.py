"""Lines of the tables that are written in Markdown."""

from collections.abc import Iterable


def table_row(cells: Iterable[str]) -> str:
    """Returns one line of a table."""
    return "|" + "".join(f" {cell} |" if cell else " |" for cell in cells)


def table_head(*titles: str) -> list[str]:
    """Returns a table's first two lines: its titles, and the rule below them."""
    return [table_row(titles), "|" + "---|" * len(titles)]
