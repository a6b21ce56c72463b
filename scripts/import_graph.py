"""Draws the folders of af3opt, their levels and their imports into docs/architecture.md.

The levels are those of the layers contract in pyproject.toml, a folder's line is the first
of its docstring, and the imports are read from the source.
"""

import ast
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path

import grimp
from written_part import WrittenPart

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "af3opt"
PART = WrittenPart(ROOT / "docs" / "architecture.md", "imports", __file__)
# Everything stands on these; arrows to them would hide the others.
GROUND = frozenset({"base", "host"})


def levels() -> list[list[str]]:
    """Returns the folders that exist, level by level, the ground first."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    (layers,) = (
        one["layers"] for one in contracts["contracts"] if one.get("containers") == ["af3opt"]
    )
    rows = [[name.strip(" ()") for name in row.split("|")] for row in reversed(layers)]
    found = [[name for name in row if _source(name).is_file()] for row in rows]
    return [row for row in found if row]


def part_graph() -> Mapping[str, frozenset[str]]:
    """Returns folder -> folders that it imports, inside functions too."""
    graph = grimp.build_graph("af3opt", include_external_packages=False)
    children = sorted(graph.find_children("af3opt"))
    for child in children:
        if graph.find_children(child):
            graph.squash_module(child)
    names = {child: child.removeprefix("af3opt.") for child in children}
    return {
        names[child]: frozenset(
            names[other]
            for other in graph.find_modules_directly_imported_by(child) & names.keys() - {child}
        )
        for child in children
    }


def _source(part: str) -> Path:
    folder = PACKAGE / part
    return folder / "__init__.py" if folder.is_dir() else folder.with_suffix(".py")


def _first_line(part: str) -> str:
    text = ast.get_docstring(ast.parse(_source(part).read_text(encoding="utf-8"))) or ""
    return text.partition("\n")[0].rstrip(".")


def _listed(parts: frozenset[str]) -> str:
    return ", ".join(sorted(parts)) or "nothing"


def diagram() -> str:
    """Returns the folders by level (a table) and the diagram (Mermaid; none to the ground)."""
    graph = part_graph()
    arrows = [f"  {part} --> {other}" for part in graph for other in sorted(graph[part] - GROUND)]
    rows = [
        f"| {level} | `{part}` | {_first_line(part)} | {_listed(graph[part])} |"
        for level, row in enumerate(levels(), start=1)
        for part in row
    ]
    table = ["| Level | Folder | Holds | Imports |", "|---|---|---|---|", *rows]
    return "\n".join([*table, "", "```mermaid", "flowchart TD", *arrows, "```"])


def main() -> int:
    """Rewrites docs/architecture.md in place."""
    PART.write(diagram())
    return 0


if __name__ == "__main__":
    sys.exit(main())
