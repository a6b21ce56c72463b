"""One cache entry as a file whose damage is always noticed.

    8 bytes   magic, with the format's version in the last byte
    32 bytes  BLAKE2b-256 of everything that follows
    12 bytes  lengths of header (uint32) and payload (uint64), little-endian
    header    JSON: key material, time of creation, af3opt version, information
    payload   opaque bytes

Reading never executes anything: a header is JSON and a payload is bytes.
"""

import dataclasses
import hashlib
import json
import struct
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from af3opt.base.atomic import atomic_file
from af3opt.base.foreign_files import open_foreign, read_foreign, read_private
from af3opt.base.json_files import parse_object
from af3opt.base.json_types import Json
from af3opt.base.key import CacheKey
from af3opt.base.version import __version__

_MAGIC = b"AF3OENT\x01"
_LENGTHS = struct.Struct("<IQ")
_DIGEST_BYTES = 32
_PREFIX_BYTES = len(_MAGIC) + _DIGEST_BYTES + _LENGTHS.size
# Far above every true entry: the largest are compiled models and features, some 100 MB.
_MOST_BYTES = 2 << 30
_MOST_HEADER_BYTES = 1 << 24

# What decoding a payload can raise that was forged, checksum and all.
DECODING_ERRORS = (
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    ArithmeticError,
    EOFError,
    MemoryError,
    RecursionError,
)

type Buffer = bytes | bytearray | memoryview


class DamagedEntryError(Exception):
    """An entry's file is truncated, altered, or of a format that is not known."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class EntryHeader:
    """What is known of an entry without decoding its payload.

    Attributes:
        material: See `CacheKey.material`.
        created: Seconds since the epoch.
        writer: af3opt version that wrote it.
        information: What the cache that owns it wants listed; plain JSON.
    """

    material: Mapping[str, Json]
    created: float
    writer: str
    information: Mapping[str, Json]


def write_entry(
    path: Path,
    key: CacheKey,
    payload: Sequence[Buffer],
    information: Mapping[str, Json],
    *,
    mode: int = 0o600,
) -> int:
    """Writes an entry atomically; concurrent writers of one key do not disturb each other.

    Args:
        path: Final file name; its directory must exist.
        key: Identity of the entry.
        payload: Buffers that make up the payload, in order.
        information: See `EntryHeader.information`.
        mode: Permission bits of the file before the umask.

    Returns:
        Size of the file in bytes.

    Raises:
        OSError: the disk is full or the directory is not writable; nothing is left behind.
    """
    header = json.dumps(
        {
            "material": key.material,
            "created": time.time(),
            "writer": __version__,
            "information": information,
        }
    ).encode("utf-8")
    lengths = _LENGTHS.pack(len(header), sum(memoryview(part).nbytes for part in payload))
    checksum = hashlib.blake2b(digest_size=_DIGEST_BYTES)
    for part in (lengths, header, *payload):
        checksum.update(part)
    size = 0
    with atomic_file(path, mode=mode) as stream:
        for part in (_MAGIC, checksum.digest(), lengths, header, *payload):
            size += stream.write(part)
    return size


def reason_of(error: Exception) -> str:
    """Returns what is wrong with an entry as a clause that follows its name."""
    return str((error.strerror if isinstance(error, OSError) else None) or error)


def read_entry(path: Path, *, private: bool = False) -> tuple[EntryHeader, memoryview]:
    """Reads an entry and verifies every byte of it.

    Args:
        path: File written by `write_entry`.
        private: Refuse it, before anything is read, if anybody but this user and root
            can have written the file or replaced a directory above it.

    Returns:
        Its header, and its payload as a read-only view.

    Raises:
        FileNotFoundError: there is no such entry.
        DamagedEntryError: it is not what was written.
        RefusedFileError: it is a link, no regular file, too large, or not private.
        OSError: it cannot be read.
    """
    read = read_private if private else read_foreign
    content = memoryview(read(path, _MOST_BYTES))
    if len(content) < _PREFIX_BYTES:
        raise DamagedEntryError(f"has {len(content)} bytes, fewer than an entry's prefix")
    if content[: len(_MAGIC)] != _MAGIC:
        raise DamagedEntryError("is not an entry of this format version")
    digest_end = len(_MAGIC) + _DIGEST_BYTES
    checksum = hashlib.blake2b(content[digest_end:], digest_size=_DIGEST_BYTES).digest()
    if content[len(_MAGIC) : digest_end] != checksum:
        raise DamagedEntryError("does not have the checksum it was written with")
    header_bytes, payload_bytes = _LENGTHS.unpack(content[digest_end:_PREFIX_BYTES])
    payload_start = _PREFIX_BYTES + header_bytes
    if len(content) != payload_start + payload_bytes:
        raise DamagedEntryError("does not have the length it was written with")
    return _parse_header(bytes(content[_PREFIX_BYTES:payload_start])), content[payload_start:]


def read_header(path: Path) -> EntryHeader:
    """Reads only an entry's header, without verifying its checksum: for listings.

    Raises:
        DamagedEntryError: it is plainly not an entry.
        OSError: it cannot be read.
    """
    with open_foreign(path, _MOST_BYTES) as stream:
        prefix = stream.read(_PREFIX_BYTES)
        if len(prefix) < _PREFIX_BYTES or not prefix.startswith(_MAGIC):
            raise DamagedEntryError("is not an entry of this format version")
        header_bytes, _ = _LENGTHS.unpack(prefix[-_LENGTHS.size :])
        if header_bytes > _MOST_HEADER_BYTES:
            raise DamagedEntryError("has a header that is too large")
        return _parse_header(stream.read(header_bytes))


def _parse_header(raw: bytes) -> EntryHeader:
    try:
        header = parse_object(raw)
        material, information = header["material"], header["information"]
        if not (isinstance(material, dict) and isinstance(information, dict)):
            raise TypeError("material and information must be objects")
        return EntryHeader(
            material=material,
            created=float(header["created"]),
            writer=str(header["writer"]),
            information=information,
        )
    except (ValueError, KeyError, TypeError, OverflowError) as error:
        raise DamagedEntryError("has a header that cannot be read") from error
