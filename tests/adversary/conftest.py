"""How often is tried and with which seed; the figures at the end of the session."""

import os
import platform
from pathlib import Path

import pytest

from af3opt.base.version import __version__
from tests.adversary.account import Account, figures_of, write_figures
from tests.execution.conftest import imported_engine, runs

__all__ = ["imported_engine", "runs"]

# Read before tests hide the developer's variables.
TRIES = int(os.environ.get("AF3OPT_ADVERSARY_TRIES", "25"))
SEED = os.environ.get("AF3OPT_ADVERSARY_SEED", "1")
# A file that gets the figures of the session.
FIGURES = os.environ.get("AF3OPT_ADVERSARY_FIGURES")

_figures = []


@pytest.fixture(scope="session")
def tries():
    """How often a dear kind is tried; cheap kinds are tried a multiple of it."""
    return TRIES


@pytest.fixture
def account(record_property):
    """Makes the account of one kind."""
    return lambda kind: Account(kind, SEED, record_property)


def pytest_runtest_logreport(report):
    _figures.extend(figures_of(report))


def pytest_terminal_summary(terminalreporter):
    if not _figures:
        return
    terminalreporter.section("what the adversary broke")
    terminalreporter.write_line(f"seed {SEED}, AF3OPT_ADVERSARY_TRIES={TRIES}")
    for one in _figures:
        terminalreporter.write_line(
            f"{one['kind']}: {one['tries']} tries, {one['losses']} losses, "
            f"{one['wrong_with_exit_0']} wrong with exit 0"
        )


def pytest_sessionfinish(session):
    if FIGURES and _is_whole(session):
        run = {
            "tries": TRIES,
            "seed": SEED,
            "af3opt": __version__,
            "python": platform.python_version(),
            "system": platform.system(),
            "cores": len(os.sched_getaffinity(0)),
        }
        write_figures(Path(FIGURES), _figures, run)


def _is_whole(session):
    """Whether every file of the suite was run: a table is of one run, or it is not written."""
    suite = set(Path(__file__).parent.glob("test_*.py"))
    return bool(_figures) and suite <= {item.path for item in session.items}
