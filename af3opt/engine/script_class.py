"""The class by which upstream's script runs the model: is a script's class that one?"""

from collections.abc import Mapping
from typing import Any

from af3opt.engine.modules import source_digest

NAME = "ModelRunner"
# Method -> its sources in the scripts of v3.0.1 to v3.0.4 and of DeepMind's 2026-08-19.
KNOWN_METHODS: Mapping[str, frozenset[str]] = {
    "__init__": frozenset({"457609b968b6fb52", "e6f904f14c4b3cb8"}),
    "model_params": frozenset({"1d934c320faa4d00"}),
    "_model": frozenset({"ffbe22c9195d3dd7"}),
    "run_inference": frozenset({"c7a99e1ca9cd38ec"}),
}


def class_obstacle(cls: Any) -> str | None:
    """Says why a class is not upstream's, or None when it is.

    Args:
        cls: What a script calls `ModelRunner`, or None.
    """
    if not isinstance(cls, type):
        return f"the script has no class {NAME}"
    for name, digests in KNOWN_METHODS.items():
        held = vars(cls).get(name)
        try:
            # A cached property holds its function.
            digest = source_digest(getattr(held, "func", held))
        except (OSError, TypeError):
            digest = ""
        if digest not in digests:
            return f"its {NAME}.{name} is not the function that af3opt knows"
    return None
