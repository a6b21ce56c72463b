"""The form of the weights' local copy, and mapping it after every byte has been checked.

    arrays.bin   the arrays, each aligned, uncompressed
    index.json   where each is, what it was made from, and a checksum of each block

A flipped bit in the arrays, or an offset in the index, would change results without a
word. So the index is sealed, and the blocks are compared with its checksums each time the
copy is mapped: XXH3 reads 1.4 GB in about 0.1 s, several blocks at once, and what it
reads is needed anyway. It finds damage; forgery is kept out by the directory's owner.
"""

import concurrent.futures
import contextlib
import dataclasses
import mmap
import os
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

import numpy as np

from af3opt.base.atomic import atomic_write_text
from af3opt.base.foreign_files import open_private, read_private
from af3opt.base.json_files import parse_sealed, sealed_json
from af3opt.base.json_types import JsonObject
from af3opt.inference.block_writer import BLOCK, block_checksum
from af3opt.inference.weights_format import Record
from af3opt.memory.aligned import ALIGNMENT

VERSION = 3
ARRAYS_FILE = "arrays.bin"
INDEX_FILE = "index.json"
_MOST_INDEX_BYTES = 1 << 26
# No model has a hundredth of this.
_MOST_ARRAYS_BYTES = 1 << 40
# More threads wait for memory.
_MOST_THREADS = 4


class DamagedCopyError(Exception):
    """A copy is not what was written; the text is a clause that follows its name."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class MappedWeights:
    """Weights mapped from a local copy.

    Attributes:
        records: All parameters; their arrays are read-only views of the file.
        joined: Operands that several parameters make up; scope of the layers, product.
        sha256: Digest of the original files.
    """

    records: list[Record]
    joined: list[Record]
    sha256: str


def size_and_time(path: Path) -> list[int]:
    """Size and time of the copy's file; that nothing in it has changed the checksums tell.

    Raises:
        OSError: it is gone.
    """
    status = path.stat()
    return [status.st_size, status.st_mtime_ns]


def write_index(directory: Path, index: JsonObject) -> None:
    """Writes the index of a copy, all or nothing.

    Args:
        directory: Of the copy.
        index: "sha256", "original" (states of the files), "arrays", "joined" and "blocks".

    Raises:
        OSError: it cannot be written.
    """
    atomic_write_text(directory / INDEX_FILE, sealed_json(index), mode=0o600)


def read_index(directory: Path) -> JsonObject:
    """Reads the index of a copy.

    Raises:
        DamagedCopyError: it is not what was written, or of another version.
        OSError: it cannot be read, or others could have written it.
    """
    try:
        index = parse_sealed(read_private(directory / INDEX_FILE, _MOST_INDEX_BYTES))
        if index["version"] != VERSION:
            raise DamagedCopyError("is of another version")
    except (ValueError, KeyError) as error:
        # Indexes of earlier versions had no seal.
        raise DamagedCopyError(f"is damaged or of another version (index: {error})") from error
    return index


def map_weights(directory: Path, index: JsonObject) -> MappedWeights:
    """Maps a copy and compares every block with its checksum.

    Args:
        directory: Of the copy.
        index: From `read_index`.

    Raises:
        DamagedCopyError: it is not what was written.
        OSError: it cannot be read, or others could have written it.
    """
    path = directory / ARRAYS_FILE
    with open_private(path, _MOST_ARRAYS_BYTES) as stream:
        status = os.fstat(stream.fileno())
        if [status.st_size, status.st_mtime_ns] != index["copy"]:
            raise DamagedCopyError("has been changed since it was written")
        mapped = _map(stream)
    blocks = _blocks(mapped)
    if len(blocks) != len(index["blocks"]) or not _checksums_fit(blocks, index["blocks"]):
        raise DamagedCopyError("does not have the checksums it was written with")
    entries = index["arrays"]
    try:
        records = records_in(mapped, [*entries, *index["joined"]])
    except (ValueError, KeyError, TypeError) as error:
        raise DamagedCopyError(f"has an index that does not fit ({error})") from error
    return MappedWeights(
        records=records[: len(entries)], joined=records[len(entries) :], sha256=index["sha256"]
    )


def map_arrays(path: Path, entries: Iterable[JsonObject]) -> list[Record]:
    """Maps arrays that this process has just written.

    Args:
        path: File of the arrays.
        entries: Their entries in the index.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as stream:
        return records_in(_map(stream), entries)


def records_in(mapped: mmap.mmap, entries: Iterable[JsonObject]) -> list[Record]:
    """Makes read-only views of a mapped file.

    Raises:
        ValueError: an array does not lie in it.
    """
    content = np.frombuffer(mapped, np.uint8)
    records = []
    for entry in entries:
        start, size = entry["offset"], entry["size"]
        if start % ALIGNMENT or start < 0 or start + size > content.size:
            raise ValueError(f"array {entry['scope']}/{entry['name']} lies outside the file")
        array = content[start : start + size].view(np.dtype(entry["dtype"])).reshape(entry["shape"])
        records.append(Record(entry["scope"], entry["name"], array))
    return records


def _map(stream: BinaryIO) -> mmap.mmap:
    try:
        mapped = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
    except ValueError as error:
        raise DamagedCopyError("is empty") from error
    # Read in large pages if it has to be read at all. Not every kernel can.
    with contextlib.suppress(OSError):
        mapped.madvise(mmap.MADV_HUGEPAGE)
    return mapped


def _blocks(mapped: mmap.mmap) -> list[memoryview]:
    whole = memoryview(mapped)
    return [whole[start : start + BLOCK] for start in range(0, len(whole), BLOCK)]


def _checksums_fit(blocks: list[memoryview], expected: list[str]) -> bool:
    threads = min(_MOST_THREADS, len(os.sched_getaffinity(0)))
    # Hashing releases the interpreter's lock.
    with concurrent.futures.ThreadPoolExecutor(threads) as executor:
        return list(executor.map(block_checksum, blocks)) == expected
