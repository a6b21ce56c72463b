"""Says why an entry would, or would not, be used now."""

from collections.abc import Callable, Mapping
from typing import Any

from af3opt.caching.key import differences
from af3opt.caching.manager import CacheManager, EntryInfo

# Parts of a key's material that say what an entry is of, not how it was made.
_IDENTITY = ("kind", "input", "sequence", "seed", "padded_tokens")


def explain_entries(name: str, manager: CacheManager) -> list[tuple[EntryInfo, list[str]]]:
    """Compares every entry with the installed software and with its siblings.

    Args:
        name: Name of the cache in `locations.CACHES`.
        manager: The cache.

    Returns:
        Each entry with the reasons why it is not used now (other software), and with
        what sets it apart from the newest entry of the same input (other options).
        No reason: it is used for its input as long as the options are the same.
    """
    infos = [info for info in manager.entries() if info.header is not None]
    current = _CURRENT_SOFTWARE[name]() if infos else {}
    newest: dict[tuple[str, ...], EntryInfo] = {}
    for info in sorted(infos, key=lambda info: info.created):
        newest[_identity(info)] = info
    return [(info, _reasons(info, newest[_identity(info)], current)) for info in infos]


def _identity(info: EntryInfo) -> tuple[str, ...]:
    return tuple(str(_material(info).get(field)) for field in _IDENTITY)


def _material(info: EntryInfo) -> Mapping[str, Any]:
    assert info.header is not None
    return info.header.material


def _reasons(info: EntryInfo, sibling: EntryInfo, current: Mapping[str, Any]) -> list[str]:
    material = _material(info)
    found = differences(current, {field: material.get(field) for field in current})
    reasons = [f"not used now: {reason}" for reason in found]
    if sibling is not info:
        options = {k: v for k, v in _material(sibling).items() if k not in current}
        mine = {k: v for k, v in material.items() if k not in current}
        reasons += [
            f"apart from {sibling.digest[:12]}: {reason.replace(', now ', ', that one ')}"
            for reason in differences(options, mine)
        ]
    return reasons


def _feature_software() -> Mapping[str, Any]:
    # Imports the engine, which listings and pruning must not need.
    from af3opt.data.prepared import find_prepared
    from af3opt.engine.resources import redirect_resources
    from af3opt.features.key import environment_material

    redirect_resources(find_prepared())
    return environment_material()


def _conformer_software() -> Mapping[str, Any]:
    from af3opt.features.conformer_store import software_material

    return software_material()


def _no_software() -> Mapping[str, Any]:
    return {}  # Tools and databases are the user's choice in each run.


_CURRENT_SOFTWARE: Mapping[str, Callable[[], Mapping[str, Any]]] = {
    "features": _feature_software,
    "conformers": _conformer_software,
    "msa": _no_software,
}
