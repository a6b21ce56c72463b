"""JSON that may be damaged or forged: values of a type, or plain ones, strictly read.

A file of af3opt's own is read as a type: it says what the type says or counts as missing. Damaged
text, `Infinity`, another shape, nesting without end and files of others are one file's miss,
never an error. Fields that a type does not know are passed over and fields with a default may
be missing, so files of newer and older versions are read.

What has no type is parsed into plain values of sane depth. Python's parser takes `Infinity`,
lets 1e999 become infinite, and fails with other errors than `ValueError` on deep nesting; none
of that may end a run, or steer one. A sealed object holds a digest of itself, so that no change
of a single bit goes unseen.
"""

import hashlib
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NoReturn

import msgspec

from af3opt.base.atomic import atomic_write_bytes
from af3opt.base.foreign_files import read_foreign, read_private
from af3opt.base.json_types import Json, JsonObject

SEAL = "seal"
# Deeper than anything that is written here, and far from where recursion ends.
_MOST_LEVELS = 64
_MOST_BYTES = 64 << 20


def read_json[T](
    path: Path, kind: type[T], *, private: bool = False, most_bytes: int = _MOST_BYTES
) -> T | None:
    """Reads a file as a value of a type.

    Args:
        path: The file; a link is not followed.
        kind: The type, such as a dataclass.
        private: Take only a file that nobody else can have written or replaced.
        most_bytes: Largest size to accept.

    Returns:
        The value; None when the file is missing, cannot be read, or is not of the type.
    """
    try:
        read = read_private if private else read_foreign
        return from_json(read(path, most_bytes), kind)
    except OSError:
        return None


def from_json[T](text: bytes | str, kind: type[T]) -> T | None:
    """Returns a JSON text as a value of a type, None when it is not of it."""
    try:
        return msgspec.json.decode(text, type=kind, dec_hook=_from_text)
    except (ValueError, RecursionError):
        return None


def to_json(value: Any, *, sort: bool = False) -> bytes:
    """JSON of dataclasses, mappings, sequences, times and plain values.

    Args:
        value: The value; numbers that are not finite become null, and half of a surrogate
            pair, as in a file name that is not UTF-8, becomes the text of its escape.
        sort: Sort the keys of objects instead of keeping their order.

    Raises:
        TypeError: something in it has no form in JSON.
        RecursionError: it holds itself.
    """
    plain = msgspec.to_builtins(value, str_keys=True, enc_hook=_as_text)
    order: Literal["sorted"] | None = "sorted" if sort else None
    try:
        text = msgspec.json.encode(plain, order=order)
    except UnicodeEncodeError:
        text = msgspec.json.encode(_in_utf8(plain), order=order)
    return msgspec.json.format(text, indent=1) + b"\n"


def _in_utf8(plain: object) -> object:
    """Replaces what UTF-8 cannot say in all texts of plain values."""
    match plain:
        case str():
            return plain.encode("utf-8", "backslashreplace").decode()
        case dict():
            return {_in_utf8(key): _in_utf8(value) for key, value in plain.items()}
        case list() | tuple():
            return [_in_utf8(value) for value in plain]
        case _:
            return plain


def _from_text(kind: type, value: object) -> object:
    """Reads what JSON has not: a path."""
    if kind is Path and isinstance(value, str):
        return Path(value)
    raise ValueError(f"{kind} is not read from JSON")


def _as_text(value: object) -> str:
    """Writes what JSON has not: a path."""
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{type(value)} is not written to JSON")


def write_json(path: Path, value: Any, *, mode: int = 0o666) -> None:
    """Writes a value as JSON with sorted keys, complete or not at all.

    Raises:
        OSError: the file cannot be written.
    """
    atomic_write_bytes(path, to_json(value, sort=True), mode=mode)


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
