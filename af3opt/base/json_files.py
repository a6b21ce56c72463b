"""Small JSON files of af3opt's own: read strictly by type, written whole.

A file says what a type says or counts as missing: damaged text, `Infinity`, another
shape, nesting without end and files of others are one file's miss, never an error.
Fields that a type does not know are passed over and fields with a default may be
missing, so files of newer and older versions are read.
"""

from pathlib import Path
from typing import Any, Literal

import msgspec

from af3opt.base.atomic import atomic_write_bytes
from af3opt.base.foreign_files import read_foreign, read_private

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
