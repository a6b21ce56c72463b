"""JSON from files that may be damaged or forged: plain values of sane depth, or an error.

Python's parser takes `Infinity`, lets 1e999 become infinite, and fails with other errors
than `ValueError` on deep nesting. None of that may end a run, or steer one.
A sealed object holds a digest of itself, so that no change of a single bit goes unseen.
"""

import hashlib
import json
import math
from collections.abc import Mapping
from typing import NoReturn

from af3opt.base.json_types import Json, JsonObject

SEAL = "seal"
# Deeper than anything that is written here, and far from where recursion ends.
_MOST_LEVELS = 64


def parse_json(raw: bytes | str) -> Json:
    """Parses JSON strictly.

    Args:
        raw: UTF-8 bytes, or text.

    Raises:
        ValueError: it is not JSON, holds a number that is not finite, or is nested too deeply.
    """
    try:
        value = json.loads(raw, parse_constant=_refuse_constant, parse_float=_finite)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    _check_depth(value)
    return value


def parse_object(raw: bytes | str) -> JsonObject:
    """Parses a JSON object strictly; see `parse_json`.

    Raises:
        ValueError: it is none.
    """
    value = parse_json(raw)
    if not isinstance(value, dict):
        raise ValueError("not a JSON object")
    return value


def sealed_json(content: Mapping[str, Json], *, indent: int | None = None) -> str:
    """Writes an object with a digest of itself.

    Args:
        content: Plain JSON values.
        indent: As for `json.dumps`.
    """
    plain = json.loads(json.dumps(dict(content), allow_nan=False))
    return json.dumps({**plain, SEAL: _digest(plain)}, indent=indent)


def parse_sealed(raw: bytes | str) -> JsonObject:
    """Reads what `sealed_json` wrote.

    Returns:
        The content, without the digest.

    Raises:
        ValueError: it is not JSON, has no digest, or another one.
    """
    content = parse_object(raw)
    if content.pop(SEAL, None) != _digest(content):
        raise ValueError("does not have the checksum it was written with")
    return content


def _digest(content: Mapping[str, Json]) -> str:
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"number {text[:20]} is too large")
    return number


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


def _check_depth(value: Json) -> None:
    level = [value]
    for _ in range(_MOST_LEVELS):
        level = [inner for outer in level for inner in _inside(outer)]
        if not level:
            return
    raise ValueError("nested too deeply")


def _inside(value: Json) -> list[Json]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []
