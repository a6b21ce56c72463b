"""Cache keys: a digest of everything that decides an entry's content."""

import dataclasses
import hashlib
import json
from collections.abc import Mapping

from af3opt.base.json_types import Json

DIGEST_DIGITS = 40


@dataclasses.dataclass(frozen=True, slots=True)
class CacheKey:
    """Identity of one entry.

    Attributes:
        material: What decides the content, as plain JSON values. Large values
            belong in it as digests. It is stored with the entry, so that
            `af3opt cache verify --explain` can say why an entry is not used.
        digest: 40 hexadecimal digits of the SHA-256 of the material.
    """

    material: Mapping[str, Json]
    digest: str

    @classmethod
    def of(cls, material: Mapping[str, Json]) -> "CacheKey":
        """Makes a key.

        Args:
            material: JSON values; the order of mapping keys does not matter.

        Raises:
            TypeError: a value is not plain JSON.
            ValueError: a number is NaN or infinite.
        """
        # Read back, so that it compares equal to the copy in an entry (tuples become lists).
        return cls(material=json.loads(_canonical(material)), digest=json_digest(material))


def json_digest(value: Json) -> str:
    """Digest of a JSON value, independent of the order of mapping keys.

    Args:
        value: Plain JSON value.

    Returns:
        40 hexadecimal digits.

    Raises:
        TypeError: it is not plain JSON.
        ValueError: a number is NaN or infinite.
    """
    return hashlib.sha256(_canonical(value).encode("ascii")).hexdigest()[:DIGEST_DIGITS]


def text_digest(text: str) -> str:
    """16 hexadecimal digits over a text, for names of files and short identities."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _canonical(value: Json) -> str:
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False
    )


def differences(mine: Json, other: Json, path: str = "") -> list[str]:
    """Lists where two materials differ, one text each.

    Args:
        mine: Material looked for.
        other: Material of an entry.
        path: Dotted place of both inside their material.

    Returns:
        Texts such as "versions.rdkit: entry has 2025.3.1, now 2025.9.4".
    """
    if isinstance(mine, Mapping) and isinstance(other, Mapping):
        found: list[str] = []
        for name in sorted({*mine, *other}):
            place = f"{path}.{name}" if path else str(name)
            found += differences(mine.get(name), other.get(name), place)
        return found
    if mine == other:
        return []
    return [f"{path}: entry has {_short(other)}, now {_short(mine)}"]


def _short(value: Json) -> str:
    text = "nothing" if value is None else str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
