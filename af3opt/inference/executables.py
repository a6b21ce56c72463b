"""Whole compiled models kept between runs, so that tracing is skipped too.

JAX's compilation cache is asked after the model has been traced and lowered, which
takes longer than everything else of a warm start. Here the finished executable is
kept under a key made of everything that tracing depends on. If any of it differs,
the model is traced as usual.

An executable is native code and its description a pickle: both run as the user when
they are loaded. So they are only read from a directory and files that nobody but
the user can write to.
"""

import dataclasses
import hashlib
import logging
import os
import pickle
import sys
from collections.abc import Mapping

from af3opt.base.json_types import Json
from af3opt.base.key import CacheKey, differences
from af3opt.base.sources import sources_digest
from af3opt.base.version import COMPUTING, installed_version
from af3opt.caching.manager import CacheManager
from af3opt.engine.protocols import Device, Executable, Tree
from af3opt.environment.neutral import deciding_options, deciding_variables
from af3opt.inference.compile_cache import CompileCache
from af3opt.inference.operations import OperationCount

_log = logging.getLogger(__name__)

_FORMAT = 1
DIRECTORY_NAME = "executables"
_MAX_BYTES = 4 << 30
# af3opt's subpackages whose code runs while the model is traced.
_OWN_PARTS = ("engine", "inference", "numerics", "optimizations")
# Packages whose code runs while the model is traced or compiled.
_PACKAGES = (*COMPUTING, "ml_dtypes", "jaxtyping")

# Parts of a key that are digests, which tell nobody anything, in words.
_DIGESTS = {
    "engine": "another engine",
    "af3opt": "another version of af3opt",
    "live_code": "other functions of the engine are replaced",
    "config": "other settings of the model",
    "arguments": "other shapes of the input, such as the depth of its MSA",
}


@dataclasses.dataclass(frozen=True, slots=True)
class StoredExecutable:
    """A compiled model from an earlier run.

    Attributes:
        executable: A `jax.stages.Compiled`.
        work: What one run of it computes.
        seconds: What making it once took; 0.0 if unknown.
    """

    executable: Executable
    work: OperationCount
    seconds: float


class ExecutableStore:
    """Keeps compiled models beside the compilation cache of this kind of host."""

    def __init__(self, cache: CompileCache) -> None:
        """Uses `cache`'s directory; keeps nothing if others can write there."""
        root = cache.root / DIRECTORY_NAME
        self._manager = CacheManager("executable store", root, max_bytes=_MAX_BYTES, private=True)
        self._usable = cache.trusted

    def load(self, key: CacheKey, device: Device) -> StoredExecutable | None:
        """Returns what is stored under `key`, or None when there is nothing usable."""
        if not self._usable:
            return None
        if not self._manager.path_of(key.digest).exists():
            return None
        payload = self._manager.get(key)
        if payload is None:
            return None
        from jax.experimental import serialize_executable

        try:
            # Only reached for files that nobody but the user could have written.
            (serialized, in_tree, out_tree), work = pickle.loads(payload)  # noqa: S301
            executable = serialize_executable.deserialize_and_load(
                serialized, in_tree, out_tree, backend=device.client, execution_devices=[device]
            )
            seconds = self._manager.seconds_to_make(key)
            return StoredExecutable(executable, OperationCount(*work), seconds)
        except Exception as error:  # Loading native code can fail in any way.
            self._manager.quarantine(
                self._manager.path_of(key.digest), f"cannot be loaded ({_first_line(error)})"
            )
            return None

    def discard(self, key: CacheKey, problem: str) -> None:
        """Takes an entry that loads but does not run out of the store."""
        self._manager.quarantine(self._manager.path_of(key.digest), problem)

    def save(
        self,
        key: CacheKey,
        compiled: Executable,
        work: OperationCount,
        information: Mapping[str, Json],
    ) -> None:
        """Stores a compiled model; where that is impossible, says so in the debug log.

        Args:
            key: Its key.
            compiled: A `jax.stages.Compiled`.
            work: What one run of it computes.
            information: Plain JSON shown by listings; `seconds` is what making it took.
        """
        if not self._usable:
            return
        from jax.experimental import serialize_executable

        try:
            content = (serialize_executable.serialize(compiled), dataclasses.astuple(work))
            payload = pickle.dumps(content)
        except (ValueError, TypeError, AttributeError, RuntimeError, pickle.PicklingError) as error:
            _log.debug("The executable cannot be stored: %s", _first_line(error))
            return
        self._manager.put(key, [payload], information)

    def explain_miss(self, key: CacheKey, num_tokens: int) -> None:
        """Says why the model has to be compiled if nothing is stored under a key.

        Args:
            key: The key.
            num_tokens: Padded tokens.
        """
        if self._manager.path_of(key.digest).exists():
            return
        kept = [info.header for info in self._manager.entries() if info.header is not None]
        found = [
            differences(dict(key.material), dict(header.material))
            for header in kept
            if header.information.get("tokens") == num_tokens
        ]
        if not found:
            _log.info("Compiling for %d tokens (first time for this size)", num_tokens)
            return
        nearest = min(found, key=len)
        _log.info(
            "Compiling for %d tokens; what is kept for this size differs: %s",
            num_tokens, "; ".join(map(_in_words, nearest)),
        )  # fmt: skip


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ProgramIdentity:
    """Whose code a traced program consists of.

    Attributes:
        engine_fingerprint: Digest of the engine's files.
        optimizations: Active optimisations by name; they are part of the program.
    """

    engine_fingerprint: str
    optimizations: tuple[str, ...] = ()


def executable_key(
    *,
    identity: ProgramIdentity,
    live_code: str,
    config: Mapping[str, Json],
    samples_at_once: int,
    arguments: Tree,
    device: Device,
) -> CacheKey:
    """Makes the key of a compiled model: all that its program depends on.

    Args:
        identity: The engine and the active optimisations.
        live_code: Digest of the engine's code in memory, see `live_code_digest`.
        config: The model's configuration as a nested mapping.
        samples_at_once: Diffusion samples computed together.
        arguments: Abstract arrays `(params, key, batch)`.
        device: The JAX device.

    Returns:
        The key.
    """
    import jax

    leaves, tree = jax.tree.flatten(arguments)
    shapes = "\n".join(f"{leaf.shape} {leaf.dtype}" for leaf in leaves)
    return CacheKey.of(
        {
            "format": _FORMAT,
            "engine": identity.engine_fingerprint,
            "af3opt": own_fingerprint(),
            "live_code": live_code,
            "optimizations": sorted(identity.optimizations),
            "config": _text_digest(repr(sorted(_flatten(config)))),
            "samples_at_once": samples_at_once,
            "arguments": _text_digest(f"{tree}\n{shapes}"),
            "packages": {name: installed_version(name) for name in _PACKAGES},
            "python": list(sys.version_info[:3]),
            # XLA:CPU divides loops among the threads it finds while compiling.
            "cores": len(os.sched_getaffinity(0)),
            "device": [
                device.platform,
                device.device_kind,
                device.id,
                str(device.client.platform_version),
            ],
            "variables": deciding_variables(os.environ),
            "jax_config": deciding_options(jax.config.values),
        }
    )


def own_fingerprint() -> str:
    """Digest of af3opt's own sources that take part in tracing: its patches above all."""
    return sources_digest(*_OWN_PARTS)


def _in_words(difference: str) -> str:
    return _DIGESTS.get(difference.partition(":")[0], difference)


def _flatten(value: object, path: str = "") -> list[tuple[str, str]]:
    if isinstance(value, Mapping):
        return [pair for k, v in value.items() for pair in _flatten(v, f"{path}.{k}")]
    return [(path, repr(value))]


def _text_digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
