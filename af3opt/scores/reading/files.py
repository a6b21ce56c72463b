"""Reading result files: plain or zstd-compressed text, JSON, and what is wrong with them.

Everything read here was written by another program, perhaps half, perhaps by a
stranger. A file that cannot be used raises `UnreadableFileError`, whose text is shown;
the reader goes on without that file.
"""

import io
import json
from pathlib import Path
from typing import Any

import zstandard

from af3opt.base.foreign_files import open_foreign

# A PAE matrix of 7,000 tokens is about 300 MB of JSON; beyond this a compressed
# file is more likely a decompression bomb than a prediction.
_MAX_TEXT_BYTES = 2 << 30


class UnreadableFileError(Exception):
    """A result file is damaged or not what its name says.

    Attributes:
        reason: What is wrong, without the file's name.
    """

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path.name}: {reason}")
        self.reason = reason


def read_bytes(path: Path) -> bytes:
    """Returns the content of `path`, decompressed when the name ends in .zst.

    Raises:
        UnreadableFileError: it cannot be read, is a link or no regular file, is damaged,
            or is over 2 GiB.
    """
    try:
        with open_foreign(path, _MAX_TEXT_BYTES) as stream:
            if path.suffix == ".zst":
                reader = zstandard.ZstdDecompressor().stream_reader(stream, read_across_frames=True)
                return _read_bounded(reader, path)
            return _read_bounded(stream, path)
    except OSError as error:
        raise UnreadableFileError(path, error.strerror or "cannot be read") from error
    except zstandard.ZstdError as error:
        raise UnreadableFileError(path, "damaged or truncated zstd data") from error


def read_text(path: Path) -> str:
    """Returns the UTF-8 text of `path`; see `read_bytes`.

    Args:
        path: File to read; undecodable bytes become U+FFFD.

    Raises:
        UnreadableFileError: as for `read_bytes`.
    """
    return read_bytes(path).decode("utf-8", errors="replace")


def _read_bounded(stream: Any, path: Path) -> bytes:
    """Reads `stream` to its end, refusing more than `_MAX_TEXT_BYTES`."""
    buffer = io.BytesIO()
    while chunk := stream.read(1 << 20):
        buffer.write(chunk)
        if buffer.tell() > _MAX_TEXT_BYTES:
            raise UnreadableFileError(path, "larger than 2 GiB; not read")
    return buffer.getvalue()


def read_json(path: Path) -> Any:
    """Returns the JSON value in `path`.

    Raises:
        UnreadableFileError: it cannot be read or is not JSON.
    """
    return parse_json(read_bytes(path), path)


def parse_json(data: bytes, path: Path) -> Any:
    """Parses `data`, which was read from `path`, as JSON.

    Raises:
        UnreadableFileError: it is not JSON.
    """
    text = data.decode("utf-8", errors="replace")
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        detail = "empty file" if not text.strip() else f"broken JSON at line {error.lineno}"
        raise UnreadableFileError(path, detail) from error
    except RecursionError as error:
        raise UnreadableFileError(path, "JSON nested too deeply") from error
    except ValueError as error:  # Python refuses integers of thousands of digits
        raise UnreadableFileError(path, "JSON with a number too long to read") from error


def as_object(value: Any, path: Path) -> dict[str, Any]:
    """Returns `value`, which was read from `path`, if it is a JSON object.

    Raises:
        UnreadableFileError: it is not.
    """
    if not isinstance(value, dict):
        raise UnreadableFileError(path, "not a JSON object")
    return value
