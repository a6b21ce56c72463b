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
from typing import Any

from af3opt.base.atomic import atomic_file
from af3opt.base.key import CacheKey
from af3opt.base.version import __version__

_MAGIC = b"AF3OENT\x01"
_LENGTHS = struct.Struct("<IQ")
_DIGEST_BYTES = 32
_PREFIX_BYTES = len(_MAGIC) + _DIGEST_BYTES + _LENGTHS.size

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

    material: Mapping[str, Any]
    created: float
    writer: str
    information: Mapping[str, Any]


def write_entry(
    path: Path,
    key: CacheKey,
    payload: Sequence[Buffer],
    information: Mapping[str, Any],
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


def read_entry(path: Path) -> tuple[EntryHeader, memoryview]:
    """Reads an entry and verifies every byte of it.

    Args:
        path: File written by `write_entry`.

    Returns:
        Its header, and its payload as a read-only view.

    Raises:
        FileNotFoundError: there is no such entry.
        DamagedEntryError: it is not what was written.
        OSError: it cannot be read.
    """
    content = memoryview(path.read_bytes())
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
    with path.open("rb") as stream:
        prefix = stream.read(_PREFIX_BYTES)
        if len(prefix) < _PREFIX_BYTES or not prefix.startswith(_MAGIC):
            raise DamagedEntryError("is not an entry of this format version")
        header_bytes, _ = _LENGTHS.unpack(prefix[-_LENGTHS.size :])
        return _parse_header(stream.read(header_bytes))


def _parse_header(raw: bytes) -> EntryHeader:
    try:
        header = json.loads(raw)
        return EntryHeader(
            material=dict(header["material"]),
            created=float(header["created"]),
            writer=str(header["writer"]),
            information=dict(header["information"]),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise DamagedEntryError("has a header that cannot be read") from error
