"""Says why an entry would, or would not, be used now."""

import sys
from collections.abc import Callable, Mapping, Sequence

from af3opt.base.json_types import Json
from af3opt.base.key import differences
from af3opt.base.version import installed_version
from af3opt.caching.manager import CacheManager, EntryInfo

# Parts of a key's material that say what an entry is of, not how it was made.
_IDENTITY = (
    *("kind", "input", "sequence", "seed", "padded_tokens"),
    *("arguments", "config", "jax_cache_key"),
)


def explain_entries(name: str, manager: CacheManager) -> list[tuple[EntryInfo, list[str]]]:
    """Compares every entry with the installed software and with its siblings.

    Args:
        name: Name of the cache in `locations.CACHES`, or for compiled code as
            `inference.compiled_caches.find_compiled_caches` gives it.
        manager: The cache.

    Returns:
        Each entry with the reasons why it is not used now (other software), and with
        what sets it apart from the newest entry of the same input (other options).
        No reason: it is used for its input as long as the options are the same.
    """
    infos = [info for info in manager.entries() if info.header is not None]
    kind, _, host = name.partition("/")
    current = _CURRENT_SOFTWARE[kind](infos) if infos else {}
    made_for = _other_jaxlib(host)
    newest: dict[tuple[str, ...], EntryInfo] = {}
    for info in sorted(infos, key=lambda info: info.created):
        newest[_identity(info)] = info
    return [
        (info, [*made_for, *_reasons(info, newest[_identity(info)], current)]) for info in infos
    ]


def _identity(info: EntryInfo) -> tuple[str, ...]:
    return tuple(str(_material(info).get(field)) for field in _IDENTITY)


def _material(info: EntryInfo) -> Mapping[str, Json]:
    assert info.header is not None
    return info.header.material


def _reasons(info: EntryInfo, sibling: EntryInfo, current: Mapping[str, Json]) -> list[str]:
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


def _other_jaxlib(host: str) -> list[str]:
    """Says when a directory of compiled code belongs to another jaxlib than today's."""
    from af3opt.inference.compiled_caches import host_jaxlib

    theirs, ours = host_jaxlib(host), installed_version("jaxlib")
    if theirs is None or theirs == ours:
        return []
    return [f"not used now: jaxlib: entry has {theirs}, now {ours or 'none'}"]


def _feature_software(_: Sequence[EntryInfo]) -> Mapping[str, Json]:
    # Imports the engine, which listings and pruning must not need.
    from af3opt.data.prepared import find_prepared
    from af3opt.data.resources import redirect_resources
    from af3opt.features.key import environment_material

    redirect_resources(find_prepared())
    return environment_material()


def _conformer_software(_: Sequence[EntryInfo]) -> Mapping[str, Json]:
    from af3opt.features.conformer_store import software_material

    return software_material()


def _executable_software(infos: Sequence[EntryInfo]) -> Mapping[str, Json]:
    from af3opt.engine.discovery import find_engine
    from af3opt.inference.executables import own_fingerprint

    packages = {name for info in infos for name in _material(info).get("packages", ())}
    return {
        "engine": find_engine().fingerprint,
        "af3opt": own_fingerprint(),
        "python": list(sys.version_info[:3]),
        "packages": {name: installed_version(name) for name in packages},
    }


def _no_software(_: Sequence[EntryInfo]) -> Mapping[str, Json]:
    # Searches: tools and databases are the user's choice in each run. Compiled modules:
    # their keys are JAX's, which tell nothing.
    return {}


_CURRENT_SOFTWARE: Mapping[str, Callable[[Sequence[EntryInfo]], Mapping[str, Json]]] = {
    "features": _feature_software,
    "conformers": _conformer_software,
    "msa": _no_software,
    "compile": _no_software,
    "executables": _executable_software,
}
