"""Writes the table of docs/reliability.md from the figures of a run of the adversary suite."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from written_part import WrittenPart

ROOT = Path(__file__).parent.parent
FIGURES = ROOT / "docs" / "reliability.json"
PART = WrittenPart(ROOT / "docs" / "reliability.md", "figures", __file__)


def committed_figures(path: Path = FIGURES) -> dict[str, Any] | None:
    """Reads the figures of the run that is kept, None when there is none."""
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def reliability_table(figures: Mapping[str, Any] | None) -> str:
    """Returns a line for each kind and what they were tried with, or a word that there are none."""
    if figures is None:
        return "No run of this version is kept here yet."
    rows = [
        (one["kind"], one["tries"], one["losses"], one["wrong_with_exit_0"])
        for one in figures["kinds"]
    ]
    rows.append(("**all**", *(sum(row[column] for row in rows) for column in (1, 2, 3))))
    return "\n".join(
        [
            "| What goes wrong | Tries | Losses | Wrong with exit code 0 |",
            "|---|--:|--:|--:|",
            *(f"| {' | '.join(map(str, row))} |" for row in rows),
            "",
            _circumstances(figures["run"]),
        ]
    )


def _circumstances(run: Mapping[str, Any] | None) -> str:
    if run is None:
        return (
            "Each kind was run by itself, by neighbouring versions while the last faults were "
            "mended. Of the dear\nkinds (damage, kills, names) there are few tries: these lines "
            "say less."
        )
    return (
        f"One run of the whole suite by af3opt {run['af3opt']}, with `AF3OPT_ADVERSARY_TRIES="
        f"{run['tries']}` and seed {run['seed']}:\nPython {run['python']}, {run['system']}, "
        f"{run['cores']} cores."
    )


def main() -> int:
    """Rewrites the table."""
    PART.write(reliability_table(committed_figures()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
