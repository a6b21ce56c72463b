"""Reading the JSON of an input and the files it points to.

Files are opened as the user's own: links are followed, but nothing that is no regular
file is read, so a pipe cannot hold the process up. Content is decoded as the engine does
it (`folding_input._read_file`): gzip, xz and zstd are told by their first bytes.
"""

import collections
import gzip
import io
import json
import lzma
import shlex
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import zstandard

from af3opt.base.errors import InputError
from af3opt.base.foreign_files import read_foreign
from af3opt.base.json_types import Json
from af3opt.base.ownership import RefusedFileError

# What is larger is no alignment and no structure; it would fill the memory.
_MOST_BYTES = 4 * 1024**3
_CHUNK = 1 << 24
# A fold input has about six; code that walks through one must not run out of stack.
_MOST_LEVELS = 100
# Packed bytes at a time: they may unpack to thousands of times as many.
_FED = 1 << 12

_DAMAGED = (EOFError, zlib.error, lzma.LZMAError, zstandard.ZstdError, gzip.BadGzipFile)


class UnusableFileError(Exception):
    """Why a file cannot be used; the text follows its name in a message."""


def read_text_file(path: Path) -> str:
    """Returns the text of a file that may be compressed.

    Args:
        path: The file.

    Raises:
        UnusableFileError: it cannot be read, or is not text.
    """
    try:
        content = read_foreign(path, _MOST_BYTES, follow_links=True)
    except OSError as error:
        raise UnusableFileError(_reason(error)) from error
    compressed = next((entry for entry in _UNPACKERS if content.startswith(entry[0])), None)
    if compressed is None:
        return _decode(content)
    _, name, unpack = compressed
    try:
        content = b"".join(_limited(unpack(content)))
    except _DAMAGED as error:
        raise UnusableFileError(f"is damaged ({name}: {error}); copy it again") from error
    # As Python's text mode does: the engine reads compressed files by it.
    return _decode(content).replace("\r\n", "\n").replace("\r", "\n")


def _gzip(content: bytes) -> Iterator[bytes]:
    with gzip.open(io.BytesIO(content)) as stream:
        yield from iter(lambda: stream.read(_CHUNK), b"")


def _xz(content: bytes) -> Iterator[bytes]:
    with lzma.open(io.BytesIO(content)) as stream:
        yield from iter(lambda: stream.read(_CHUNK), b"")


def _zstd(content: bytes) -> Iterator[bytes]:
    """Unpacks every frame; a stream reader would stop at the first, and at a torn end."""
    while content:
        frame = zstandard.ZstdDecompressor().decompressobj()
        for start in range(0, len(content), _FED):
            yield frame.decompress(content[start : start + _FED])
            if frame.eof:
                content = frame.unused_data + content[start + _FED :]
                break
        else:
            raise EOFError("it ends in the middle")


_UNPACKERS: tuple[tuple[bytes, str, Callable[[bytes], Iterator[bytes]]], ...] = (
    (b"\x1f\x8b", "gzip", _gzip),
    (b"\xfd7zXZ\x00", "xz", _xz),
    (b"\x28\xb5\x2f\xfd", "zstd", _zstd),
)


def _limited(chunks: Iterator[bytes]) -> Iterator[bytes]:
    total = 0
    for chunk in chunks:
        total += len(chunk)
        if total > _MOST_BYTES:
            raise UnusableFileError(f"holds more than {_MOST_BYTES} bytes once unpacked; not read")
        yield chunk


def _decode(content: bytes) -> str:
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UnusableFileError(f"is not UTF-8 text (byte {error.start})") from error


def _reason(error: OSError) -> str:
    if isinstance(error, RefusedFileError):
        return str(error.strerror)
    return f"cannot be read: {(error.strerror or str(error)).lower()}"


def read_json(path: Path) -> tuple[Json, list[str]]:
    """Parses the JSON file of an input.

    Args:
        path: The file.

    Returns:
        Its content, and the names of fields that one object holds twice.

    Raises:
        InputError: it cannot be read, or is not JSON.
    """
    try:
        text = _decode(read_foreign(path, _MOST_BYTES, follow_links=True))
    except OSError as error:
        raise InputError(f"{path}: {_reason(error)}") from error
    except UnusableFileError as error:
        raise InputError(f"{path}: {error}") from error
    try:
        return parse_json(text)
    except ValueError as error:
        raise InputError(f"{path}: {error}{_hint(path, text)}") from error


def _hint(path: Path, text: str) -> str:
    """Says what to type for a FASTA file."""
    if not text.lstrip().startswith(">"):
        return ""
    return f"; it looks like FASTA: af3opt make-inputs --output_dir=DIR {shlex.quote(str(path))}"


def parse_json(text: str) -> tuple[Json, list[str]]:
    """Parses JSON text strictly: no NaN, no infinities, no byte order mark.

    Returns:
        The content, and the names of fields that one object holds twice (the last counts).

    Raises:
        ValueError: it is not JSON; the text says where.
    """
    doubled: list[str] = []

    def as_object(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
        content = dict(pairs)
        if len(content) < len(pairs):
            counts = collections.Counter(name for name, _ in pairs)
            doubled.extend(name for name, count in counts.items() if count > 1)
        return content

    if text.startswith("\ufeff"):
        raise ValueError("begins with a byte order mark; save it as UTF-8 without one")
    try:
        content = json.loads(text, parse_constant=_no_constant, object_pairs_hook=as_object)
    except RecursionError as error:
        raise ValueError("is nested too deeply to be a fold input") from error
    except ValueError as error:
        raise ValueError(f"is not valid JSON: {error}") from error
    if _is_deeper(content, _MOST_LEVELS):
        raise ValueError("is nested too deeply to be a fold input")
    return content, doubled


def _is_deeper(content: Json, most: int) -> bool:
    """Tells whether lists and objects lie within each other more than `most` times."""
    level = [content]
    for _ in range(most):
        containers = [item for item in level if isinstance(item, dict | list)]
        level = [
            child
            for item in containers
            for child in (item.values() if isinstance(item, dict) else item)
            if isinstance(child, dict | list)
        ]
    return bool(level)


def _no_constant(name: str) -> Json:
    raise ValueError(f"{name} is not a JSON value; give a number")
