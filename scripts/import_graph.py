"""Reads which part of af3opt imports which, and draws it into docs/architecture.md.

A part is a package directly below `af3opt`, `cli` for what dispatches commands, or
`base` for the other modules beside them.
"""

import ast
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from written_part import WrittenPart

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "af3opt"
PART = WrittenPart(
    ROOT / "docs" / "architecture.md",
    "<!-- imports: written by scripts/import_graph.py -->",
    "<!-- end of imports -->",
)
BASE = "base"
CLI = "cli"
_CLI_MODULES = frozenset({"af3opt.cli", "af3opt.__main__"})

type Graph = Mapping[str, frozenset[str]]


def module_graph(*, only_at_import: bool = False) -> Graph:
    """Returns module -> modules of af3opt that it imports.

    Args:
        only_at_import: Leave out imports inside functions, which cannot make an
            import fail because of a cycle.
    """
    names = {_module_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}
    graph = {}
    for name, path in names.items():
        tree = ast.parse(path.read_text(encoding="utf-8"))
        found = {
            resolved
            for target in _imports(tree, only_at_import=only_at_import)
            if (resolved := _resolve(target, names)) and resolved != name
        }
        graph[name] = frozenset(found)
    return graph


def part_graph() -> dict[str, frozenset[str]]:
    """Returns part -> parts that it imports, inside functions too."""
    graph: dict[str, set[str]] = {}
    for module, imported in module_graph().items():
        edges = graph.setdefault(_part(module), set())
        edges |= {_part(other) for other in imported} - {_part(module)}
    return {part: frozenset(edges) for part, edges in sorted(graph.items())}


def _module_name(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _part(module: str) -> str:
    if module in _CLI_MODULES:
        return CLI
    parts = module.split(".")
    return parts[1] if len(parts) > 1 and (PACKAGE / parts[1]).is_dir() else BASE


def _imports(tree: ast.AST, *, only_at_import: bool) -> Iterator[str]:
    """Yields dotted names; `from a import b` gives a.b, which may be a module or not."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif not _is_left_out(node, only_at_import):
            yield from _imports(node, only_at_import=only_at_import)


def _is_left_out(node: ast.AST, only_at_import: bool) -> bool:
    if isinstance(node, ast.If):
        return "TYPE_CHECKING" in ast.unparse(node.test)
    return only_at_import and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)


def _resolve(target: str, names: Mapping[str, Path]) -> str | None:
    """The module that a dotted name stands for or is defined in."""
    while target:
        if target in names:
            return target
        target = target.rpartition(".")[0]
    return None


def find_cycle(graph: Graph) -> list[str]:
    """Returns modules that import each other in a ring, [] if there are none."""
    done: set[str] = set()

    def visit(module: str, trail: list[str]) -> list[str]:
        if module in trail:
            return [*trail[trail.index(module) :], module]
        if module in done:
            return []
        for other in sorted(graph[module]):
            if ring := visit(other, [*trail, module]):
                return ring
        done.add(module)
        return []

    return next((ring for module in sorted(graph) if (ring := visit(module, []))), [])


def diagram() -> str:
    """Returns the diagram (Mermaid; without arrows to `base`) and the list of all imports."""
    graph = part_graph()
    arrows = [f"  {part} --> {other}" for part in graph for other in sorted(graph[part] - {BASE})]
    rows = [
        f"| {part} | {', '.join(sorted(edges)) or 'nothing'} |" for part, edges in graph.items()
    ]
    table = ["| Part | imports |", "|---|---|", *rows]
    return "\n".join(["```mermaid", "flowchart TD", *arrows, "```", "", *table])


def main() -> int:
    """Rewrites docs/architecture.md in place."""
    PART.write(diagram())
    return 0


if __name__ == "__main__":
    sys.exit(main())
