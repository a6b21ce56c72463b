"""Writes the table of what fits which engine into docs/supporting-an-engine.md.

It says what the register of the engine's functions says; see `engine.known_functions`.
"""

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from written_part import WrittenPart

from af3opt.benchmarks.markdown_rows import table_head, table_row
from af3opt.data.resources import CCD_LOADERS
from af3opt.engine.known_functions import ANY_SOURCE, PACKAGES, Release, Unfit, source_in
from af3opt.engine.patching import Patch, Target
from af3opt.features.embedding import FUNCTION_ALONE, FUNCTION_AND_HELPER
from af3opt.features.feature_patches import LOOPS
from af3opt.features.featurisation import RELIES_ON
from af3opt.inference.weights_format import LOADER
from af3opt.optimizations import OPTIMIZATIONS

PART = WrittenPart(
    Path(__file__).parent.parent / "docs" / "supporting-an-engine.md", "engines", __file__
)
ACTIVE = "active"
NOT_NEEDED = "not needed"
NOT_COMPARED = "not compared"

type Cells = tuple[str, ...]


def engine_table() -> str:
    """Returns a Markdown table: what comes into force on each release, by its sources."""
    rows = [(f"`{one.name}`", _cells_of_patch(one)) for one in OPTIMIZATIONS]
    rows = [(", ".join(names), cells) for cells, names in _by_cells(rows)]
    rows += [
        ("Featurisation shared by seeds", _cells((RELIES_ON,))),
        ("Conformers with less searching", _cells((FUNCTION_ALONE, FUNCTION_AND_HELPER))),
        *((f"Loop of featurisation: `{loop.name}`", _cells_of_patch(loop)) for loop in LOOPS),
        ("Reading of weights", _cells((LOADER,))),
        ("Index of the component dictionary", _cells([(one,) for one in CCD_LOADERS])),
    ]
    table = table_head("", *Release)
    table += [table_row((name, *cells)) for name, cells in rows]
    return "\n".join(table)


def _by_cells(rows: Iterable[tuple[str, Cells]]) -> Iterable[tuple[Cells, list[str]]]:
    """Puts rows together that say the same."""
    together: dict[Cells, list[str]] = {}
    for name, cells in rows:
        together.setdefault(cells, []).append(name)
    return together.items()


def _cells_of_patch[C](patch: Patch[C]) -> Cells:
    return tuple(_cell_of_patch(patch, release) for release in Release)


def _cell_of_patch[C](patch: Patch[C], release: Release) -> str:
    if patch.built_in is not None and _cell((patch.built_in,), release) == ACTIVE:
        return NOT_NEEDED
    package = patch.package.name if patch.package else None
    # With a release whose functions are unknown, so is what it brings.
    cell = _cell((*(target for target, _ in patch.replacements), *patch.relies_on), release)
    if cell == ACTIVE and package in PACKAGES and release not in PACKAGES[package]:
        return f"steps aside: no {package}"
    return cell


def _cells(ways: Sequence[tuple[Target, ...]]) -> Cells:
    """The cells of what needs all functions of any one of some ways."""
    return tuple(_best([_cell(way, release) for way in ways]) for release in Release)


def _best(cells: Sequence[str]) -> str:
    return next((cell for cell in (ACTIVE, NOT_COMPARED) if cell in cells), cells[0])


def _cell(targets: Iterable[Target], release: Release) -> str:
    unknown = False
    for target in targets:
        source = source_in(target, release)
        unknown |= source is None
        if isinstance(source, Unfit):
            return f"steps aside: {source}"
        known = target.digests is None or source in target.digests
        if source not in (None, ANY_SOURCE) and not known:
            return f"steps aside: {Unfit.OTHER}"
    return NOT_COMPARED if unknown else ACTIVE


def main() -> int:
    """Rewrites the document in place."""
    PART.write(engine_table())
    return 0


if __name__ == "__main__":
    sys.exit(main())
