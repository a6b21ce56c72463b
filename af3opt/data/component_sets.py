"""Which CCD components are glycans, and which are ions.

The engine reads these sets from a pickle of its own; here they are derived from
the dictionary's `type` and `name` items and kept as JSON.
"""

import json
import re
from collections.abc import Iterable
from pathlib import Path

from af3opt.base.errors import SetupError
from af3opt.base.foreign_files import read_private
from af3opt.base.json_files import parse_object

ComponentSets = dict[str, frozenset[str]]

SET_NAMES = ("glycans_linking", "glycans_other", "ions")

_MOST_BYTES = 1 << 26
_SACCHARIDE = re.compile(r"\bsaccharide\b")
_ION = re.compile(r"\bion\b")
# The unknown atom or ion: in neither set, whatever its name says.
_UNKNOWN = "UNX"


def derive_component_sets(components: Iterable[tuple[str, str, str]]) -> ComponentSets:
    """Sorts components into the engine's sets.

    Args:
        components: (code, `_chem_comp.type`, `_chem_comp.name`) of each.

    Returns:
        Set name (see `SET_NAMES`) -> codes. A saccharide is linking when its type
        says so; an ion has the word "ion" in its name, and may be both.
    """
    members: dict[str, set[str]] = {name: set() for name in SET_NAMES}
    for code, kind, name in components:
        if code == _UNKNOWN:
            continue
        lower_kind = kind.lower()
        if _SACCHARIDE.search(lower_kind):
            members["glycans_linking" if "linking" in lower_kind else "glycans_other"].add(code)
        if _ION.search(name.lower()):
            members["ions"].add(code)
    return {name: frozenset(codes) for name, codes in members.items()}


def component_sets_json(sets: ComponentSets) -> str:
    """Serialises the sets, sorted, so that equal sets give equal text."""
    return json.dumps({name: sorted(sets[name]) for name in SET_NAMES})


def read_component_sets(path: Path) -> ComponentSets:
    """Reads what `component_sets_json` wrote.

    Raises:
        SetupError: missing or damaged.
    """
    try:
        raw = parse_object(read_private(path, _MOST_BYTES))
        sets = {name: frozenset(raw[name]) for name in SET_NAMES}
        if not all(isinstance(code, str) for codes in sets.values() for code in codes):
            raise TypeError("codes must be strings")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SetupError(
            f"component sets {path} cannot be read ({error}); run `af3opt prepare --force`"
        ) from error
    return sets
