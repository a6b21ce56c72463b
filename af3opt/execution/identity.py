"""What makes two runs the same work: the identity behind resume.

A seed is "already done" only if everything that can change its files is equal: the
input, the seed, every setting that affects results, the weights, the engine and the
active optimisations. The parts are kept beside their digest, so that a difference
can be explained.
"""

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from af3opt.options.field import spec_of
from af3opt.settings import Settings

# Settings that only say where things are; what they lead to is digested instead.
_LOCATIONS = frozenset({"model_dir", "db_dir"})


@dataclasses.dataclass(frozen=True, slots=True)
class Identity:
    """The parts of an identity and their digest.

    Attributes:
        parts: Name -> JSON value of everything that counts.
    """

    parts: Mapping[str, Any]

    @property
    def digest(self) -> str:
        """16 hex digits over the parts."""
        return hashlib.sha256(canonical_json(self.parts).encode()).hexdigest()[:16]

    def differences(self, other: Mapping[str, Any]) -> list[str]:
        """Lists what differs from the parts of another identity, as "name: old -> new"."""
        lines = []
        for name in sorted({*self.parts, *other}):
            old, new = other.get(name), self.parts.get(name)
            if old != new:
                lines.append(f"{name}: {_short(old)} -> {_short(new)}")
        return lines


def canonical_json(value: Any) -> str:
    """JSON with sorted keys and no spare space: equal values give equal text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def _short(value: Any) -> str:
    text = canonical_json(value)
    return text if len(text) <= 60 else text[:57] + "..."


def run_identity(
    settings: Settings,
    *,
    input_digest: str,
    weights_digest: str | None,
    engine_fingerprint: str,
    backend: str,
    buckets: Iterable[int],
    optimisations: Iterable[str],
) -> Identity:
    """Builds the identity of a job's run, all its seeds included.

    Args:
        settings: Gives every setting marked as affecting results.
        input_digest: From `input_digest`.
        weights_digest: Digest of the weights, None when inference is not run.
        engine_fingerprint: From `engine.discovery`.
        backend: "cpu", "gpu" or "mps".
        buckets: Token counts in force.
        optimisations: Names of the active optimisations that change results.
    """
    parts: dict[str, Any] = {
        field.name: _plain(getattr(settings, field.name))
        for field in dataclasses.fields(settings)
        if field.metadata
        and spec_of(field).affects_results
        and field.name not in _LOCATIONS
        and not field.name.endswith("_binary_path")
    }
    parts |= {
        "input": input_digest,
        "weights": weights_digest,
        "engine": engine_fingerprint,
        "jax_backend": backend,
        "buckets": list(buckets),
        "optimisations": sorted(optimisations),
    }
    return Identity(parts)


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return list(value)
    return str(value) if isinstance(value, Path) else value


def input_digest(path: Path, position: int) -> str:
    """Digest of one fold job as the user wrote it, with the files it points to.

    Args:
        path: Input file.
        position: Index among the fold jobs of the file.

    Returns:
        16 hex digits over the job's JSON and the contents of every file named by a
        field that ends in "Path" (external MSAs, templates, user CCD). Seeds count
        one by one, not here: adding a seed keeps the finished ones.
    """
    content = json.loads(path.read_bytes())
    entry = content[position] if isinstance(content, list) else content
    digest = hashlib.sha256()
    without_seeds = {key: value for key, value in entry.items() if key != "modelSeeds"}
    digest.update(canonical_json(without_seeds).encode())
    for external in sorted(_external_files(entry)):
        file = path.parent / external
        digest.update(hashlib.sha256(file.read_bytes()).digest() if file.is_file() else b"absent")
    return digest.hexdigest()[:16]


def _external_files(value: Any) -> set[str]:
    found: set[str] = set()
    if isinstance(value, dict):
        for key, item in value.items():
            if key.endswith("Path") and isinstance(item, str):
                found.add(item)
            else:
                found |= _external_files(item)
    elif isinstance(value, list):
        for item in value:
            found |= _external_files(item)
    return found
