"""JAX's compilation cache, made fit for shared clusters.

JAX's own file cache writes entries in place, never repairs a damaged one, and
trusts its directory, although whoever can write there can run code as the user.
Here its entries are kept by a `CacheManager` (checksummed, replaced by rename,
damaged ones set aside, bounded in size) in a directory of the user's own, one for
each kind of host, since compiled code of one processor may crash on another.

Entries do not depend on the directory's path: a moved cache still hits.
"""

import contextlib
import dataclasses
import functools
import hashlib
import logging
from collections.abc import Callable
from pathlib import Path

from af3opt.base.errors import SetupError, UsageError
from af3opt.base.key import CacheKey
from af3opt.base.ownership import directory_problem
from af3opt.base.paths import af3opt_home, make_private, private_directory
from af3opt.caching.manager import CacheManager
from af3opt.engine.patching import Patch, PatchSet, Target
from af3opt.engine.protocols import Device
from af3opt.host.cgroups import read_cgroup_limits
from af3opt.host.host import probe_cpu

_log = logging.getLogger(__name__)

DIRECTORY_NAME = "compile_cache"
_FLAG = "--jax_compilation_cache_dir"
_FILE_CACHE = Target("_src.compilation_cache", "get_file_cache", None, package="jax")
_HIT_EVENT = "/jax/compilation_cache/cache_hits"
_REQUEST_EVENT = "/jax/compilation_cache/compile_requests_use_cache"
# One executable of the whole model takes 7 to 30 MB.
MAX_BYTES = 4 << 30
# Directories whose group can write to them, which was said and is wanted.
_shared: set[Path] = set()


@dataclasses.dataclass(kw_only=True)
class CompileCache:
    """The compilation cache of this process.

    Attributes:
        root: Its directory for this kind of host.
        trusted: Whether only this user can write there, so that entries that run
            code when they are read (pickles) may be kept beside it.
        hits: Modules read from it so far.
        requests: Modules it was asked for so far.
    """

    root: Path
    trusted: bool
    hits: int = 0
    requests: int = 0

    def count(self, event: str, **_: object) -> None:
        """Listener for JAX's monitoring events."""
        if event == _HIT_EVENT:
            self.hits += 1
        elif event == _REQUEST_EVENT:
            self.requests += 1


def host_key(device: Device) -> str:
    """Identifies the kinds of host that can share compiled code.

    Args:
        device: The JAX device.

    Returns:
        A readable prefix and 12 hexadecimal digits over processor model, instruction
        sets, jaxlib, platform version and device kind.
    """
    import jaxlib

    cpu = probe_cpu(None, read_cgroup_limits())
    facts = (
        cpu.vendor,
        cpu.model,
        *sorted(cpu.isa),
        jaxlib.__version__,
        device.platform,
        device.client.platform_version,
        device.device_kind,
    )
    digest = hashlib.sha256("\0".join(facts).encode()).hexdigest()[:12]
    return f"{device.platform}-jaxlib{jaxlib.__version__}-{digest}"


def configure_compile_cache(requested: str | None, device: Device) -> CompileCache | None:
    """Switches JAX's compilation cache on for this process.

    Args:
        requested: Directory given as `--jax_compilation_cache_dir`, or None for the
            environment's JAX_COMPILATION_CACHE_DIR or else af3opt's own.
        device: The JAX device the model will run on.

    Returns:
        The cache, or None when there is none; the reason is logged.

    Raises:
        UsageError: the requested directory, that of this kind of host in it, or one above
            belongs to another user or anybody can write to it.
    """
    import jax

    if not jax.config.jax_enable_compilation_cache:
        _log.info("Compile cache: off, since JAX_ENABLE_COMPILATION_CACHE is false")
        return None
    requested = requested or jax.config.jax_compilation_cache_dir
    try:
        base, trusted = _base_directory(requested)
        root = base / host_key(device)
        root.mkdir(mode=0o700, exist_ok=True)
        trusted = _trusted(root, requested)
    except (SetupError, OSError) as error:
        jax.config.update("jax_compilation_cache_dir", None)
        _log.warning("Compile cache: off: %s", error)
        return None
    if not trusted:
        _shared.add(root)
    cache = CompileCache(root=root, trusted=trusted)
    _configure_jax(root)
    jax.monitoring.register_event_listener(cache.count)
    _log.info("Compile cache: %s", root)
    return cache


def check_requested(directory: str) -> None:
    """Makes a directory that the user has named, and warns if its group can write to it.

    Args:
        directory: Given as `--jax_compilation_cache_dir` or JAX_COMPILATION_CACHE_DIR.

    Raises:
        UsageError: it or one above belongs to another user or anybody can write to it.
    """
    # JAX goes on without a directory that cannot be made.
    with contextlib.suppress(OSError):
        _base_directory(directory)


def _base_directory(requested: str | None) -> tuple[Path, bool]:
    """Returns the directory that holds one cache per host kind, and whether it is private."""
    if requested is None:
        return private_directory(af3opt_home() / DIRECTORY_NAME), True
    base = Path(requested).expanduser().absolute()
    make_private(base)
    trusted = _trusted(base, requested)
    if not trusted:
        _log.warning(
            "%s=%s is writable by its group, whose members can run code as you through it; "
            "chmod g-w it, or leave the flag out",
            _FLAG,
            base,
        )
    return base, trusted


def _trusted(folder: Path, requested: str | None) -> bool:
    """Says whether only this user can write to a directory and those above; False for a group.

    Raises:
        UsageError: somebody else can, and the user has asked for the directory.
        SetupError: somebody else can write to af3opt's own directory.
    """
    problem = directory_problem(folder)
    if problem is None:
        return True
    if requested is None:
        raise SetupError(f"{problem}; whoever writes there can run code as you: remove it")
    if directory_problem(folder, group_may_write=True) is None:
        return False
    raise UsageError(
        f"{_FLAG}={requested}: {problem}: whoever writes there can run code as you; give a "
        "directory of your own, or leave the flag out"
    )


def _configure_jax(root: Path) -> None:
    import jax
    from jax.experimental.compilation_cache import compilation_cache

    if not _install_store():
        _log.warning("Compile cache: this JAX takes no other store; its own is used")
    for name, value in (
        ("jax_compilation_cache_dir", str(root)),
        ("jax_persistent_cache_min_compile_time_secs", 0.0),
        ("jax_persistent_cache_min_entry_size_bytes", -1),
        # XLA's own caches would put the directory's path into every key.
        ("jax_persistent_cache_enable_xla_caches", "none"),
    ):
        jax.config.update(name, value)
    # Whatever was compiled before may have fixed another directory, or none.
    compilation_cache.reset_cache()


@functools.cache
def _install_store() -> bool:
    """Makes JAX keep entries in a `CacheManager`; False where it has no place for that."""
    try:
        from jax._src.compilation_cache_interface import CacheInterface
    except ImportError:
        return False
    factory = _store_factory(CacheInterface)
    patch = Patch[None](
        name="compile_cache_store",
        replacements=((_FILE_CACHE, lambda _original, _: lambda path: (factory(path), path)),),
    )
    patches = PatchSet([patch], None)
    patches.apply()
    return bool(patches.in_force)


def _store_factory(interface: type) -> Callable[[str], object]:
    class Store(interface):  # type: ignore[misc]
        """JAX's cache interface on top of a `CacheManager`."""

        def __init__(self, path: str) -> None:
            self._path = Path(path)
            self._manager = CacheManager(
                "compile cache",
                self._path,
                max_bytes=MAX_BYTES,
                private=self._path not in _shared,
            )

        def get(self, key: str) -> bytes | None:
            payload = self._manager.get(_entry_key(key))
            module = key.rpartition("-")[0]
            _log.debug("Compile cache %s: %s", "hit" if payload is not None else "miss", module)
            return None if payload is None else bytes(payload)

        def put(self, key: str, value: bytes) -> None:
            module = key.rpartition("-")[0]
            self._manager.put(_entry_key(key), [value], {"module": module})

    return Store


def _entry_key(key: str) -> CacheKey:
    return CacheKey.of({"jax_cache_key": key})
