"""A pristine home, and runs of the victim on copies of it that have gone bad."""

import os

import pytest

from tests.execution.conftest import imported_engine

__all__ = ["imported_engine"]

# Read before tests hide the developer's variables.
TRIES = int(os.environ.get("AF3OPT_ADVERSARY_TRIES", "25"))
SEED = os.environ.get("AF3OPT_ADVERSARY_SEED", "1")


@pytest.fixture(scope="session")
def tries():
    """How often to try, and the seed of what is tried."""
    return TRIES, SEED
