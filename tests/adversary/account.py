"""What was tried, what was lost: the figures of the suite."""

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

# The name under which a test hands its figures to the session.
PROPERTY = "adversary"


class Account:
    """The tries of one kind, and what went wrong.

    Attributes:
        tries: How often something was broken.
        generator: Decides what is broken; the same for the same seed.
    """

    def __init__(self, kind: str, seed: str, tell: Callable[[str, Any], None]) -> None:
        self.kind, self.seed = kind, seed
        self.tries = 0
        self.generator = random.Random(f"{seed} {kind}")
        self._tell = tell
        self._losses: list[str] = []
        self._wrong = 0

    def lost(self, what: str, *, exit_code: int | None = None) -> None:
        """Notes a loss; with exit code 0 nobody would have seen it.

        Args:
            what: What went wrong, and in which try.
            exit_code: Of the run that should have said so.
        """
        self._losses.append(what)
        self._wrong += exit_code == 0

    def settle(self) -> None:
        """Hands the figures over, and fails the test when anything was lost."""
        figures = {
            "kind": self.kind,
            "seed": self.seed,
            "tries": self.tries,
            "losses": len(self._losses),
            "wrong_with_exit_0": self._wrong,
        }
        self._tell(PROPERTY, figures)
        assert self.tries > 0
        assert not self._losses, "\n".join(self._losses)


def figures_of(report: pytest.TestReport) -> list[dict[str, Any]]:
    """Returns the figures that a test has handed over."""
    if report.when != "call":
        return []
    return [figures for name, figures in report.user_properties if name == PROPERTY]


def write_figures(path: Path, figures: list[dict[str, Any]], run: dict[str, Any]) -> None:
    """Writes the figures of a session, for `scripts/write_reliability_table.py`.

    They replace those of the session before, so that a table is of one run and one version.

    Args:
        path: The file.
        figures: Those of each kind.
        run: What all kinds have in common.
    """
    kinds = sorted(figures, key=lambda one: str(one["kind"]))
    path.write_text(json.dumps({"run": run, "kinds": kinds}, indent=2) + "\n")
