"""The caches of compiled code, for all kinds of host, as listings and cleaning need them.

JAX is not imported: entries are looked at and never loaded.
"""

import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path

from af3opt.base.ownership import RefusedFileError, checked_directory, trust_problem
from af3opt.base.paths import af3opt_home
from af3opt.caching.manager import CacheManager
from af3opt.inference import compile_cache, executables

# Short name -> what the cache is called in messages.
COMPILED_CACHES = {"compile": "compile cache", "executables": "executable store"}
# What `compile_cache.host_key` makes; other directories are not af3opt's.
_HOST = re.compile(r"[a-z]+-jaxlib(?P<jaxlib>[^/]+)-[0-9a-f]{12}")


def find_compiled_caches(name: str, requested: Path | None = None) -> dict[str, CacheManager]:
    """Finds a cache's directories, one for each kind of host.

    Args:
        name: One of `COMPILED_CACHES`.
        requested: Directory given as `--jax_compilation_cache_dir`, or None for the
            environment's JAX_COMPILATION_CACHE_DIR or else af3opt's own.

    Returns:
        `<name>/<kind of host>` -> its manager; nothing where nothing was compiled yet.
    """
    given = requested or os.environ.get("JAX_COMPILATION_CACHE_DIR")
    base = Path(given).expanduser() if given else af3opt_home() / compile_cache.DIRECTORY_NAME
    found = {}
    for folder in sorted(base.iterdir()) if base.is_dir() else ():
        place = folder if name == "compile" else folder / executables.DIRECTORY_NAME
        if _HOST.fullmatch(folder.name) and place.is_dir():
            found[f"{name}/{folder.name}"] = CacheManager(COMPILED_CACHES[name], place)
    return found


def host_jaxlib(host: str) -> str | None:
    """Returns the version of jaxlib that a kind of host is named after, None if it is not."""
    match = _HOST.fullmatch(host)
    return match["jaxlib"] if match else None


def untrusted_files(manager: CacheManager) -> Iterator[tuple[Path, str]]:
    """Yields what others could have put into a cache of code, with the reason.

    Args:
        manager: The cache; its entries run as the user when they are loaded.
    """
    above = manager.root.parent
    try:
        with checked_directory(above):
            pass
    except RefusedFileError as error:
        yield Path(error.filename), str(error.strerror)
    except FileNotFoundError:
        return
    entries = [info.path for info in manager.entries()]
    folders = {manager.root, *(path.parent for path in entries)}
    for path in (*sorted(folders), *entries):
        try:
            status = path.lstat()
        except FileNotFoundError:
            continue  # Pruned by another process meanwhile.
        if stat.S_ISLNK(status.st_mode):
            yield path, "is a link"
        elif problem := trust_problem(status):
            yield path, problem
