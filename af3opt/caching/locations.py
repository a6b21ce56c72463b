"""Where each cache of this installation lives."""

from collections.abc import Mapping
from pathlib import Path

from af3opt.base.paths import af3opt_home
from af3opt.caching.manager import CacheManager

# Name for commands -> what messages call it.
CACHES: Mapping[str, str] = {
    "features": "feature cache",
    "conformers": "conformer cache",
    "msa": "MSA cache",
}


def cache_directory(name: str, override: Path | None = None) -> Path:
    """Returns the directory of a cache (not created).

    Args:
        name: One of `CACHES`.
        override: Directory that the user gave, or None.
    """
    return override if override is not None else af3opt_home() / "cache" / name


def open_cache(
    name: str, override: Path | None = None, max_gb: float | None = None
) -> CacheManager:
    """Returns the manager of a cache.

    Args:
        name: One of `CACHES`.
        override: Directory that the user gave, or None.
        max_gb: Size to keep within, in GB (1e9 bytes); None for no limit.
    """
    limit = int(max_gb * 1e9) if max_gb is not None else None
    return CacheManager(CACHES[name], cache_directory(name, override), max_bytes=limit)
