"""The part of every key of features that names af3opt's own code and the engine's variables."""

import os

from af3opt.base.json_types import JsonObject
from af3opt.base.sources import sources_digest
from af3opt.environment.neutral import engine_variables

# Folders whose code decides features. A change of any file there makes features anew, which
# takes seconds; a version number that somebody has to raise would one day be forgotten.
_OWN_PARTS = ("data", "engine", "features")


def own_material() -> JsonObject:
    """Returns plain JSON that differs when af3opt or a variable of the engine's does."""
    return {"af3opt": sources_digest(*_OWN_PARTS), "variables": engine_variables(os.environ)}
