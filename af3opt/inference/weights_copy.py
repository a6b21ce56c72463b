"""A local copy of the weights that is mapped into memory instead of being read.

The original is usually compressed, on a shared file system, and read in full by
every process. The copy holds the same arrays uncompressed and aligned, so that a
process starts with them at once, processes on one node share the memory, and
XLA:CPU computes from the mapped pages without a copy of its own. Weights that some
products read side by side follow in that order, too: a sixth more of the file.

The copy lies under AF3OPT_HOME, readable by the user alone. It is used only while
the original has the size and time (or else the digest) it was made from.
"""

import contextlib
import dataclasses
import fcntl
import hashlib
import itertools
import json
import logging
import mmap
import os
import shutil
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from af3opt.base.atomic import atomic_write_text, fsync_tree, remove_unfinished, temporary_sibling
from af3opt.base.errors import SetupError
from af3opt.base.ownership import trust_problem
from af3opt.base.paths import af3opt_home, private_directory
from af3opt.inference.block_writer import BLOCK, BlockWriter
from af3opt.inference.weights_format import (
    Record,
    RecordHeader,
    RecordStream,
    WeightFiles,
)
from af3opt.memory.aligned import ALIGNMENT
from af3opt.optimizations.separate_layers import operands_to_join

_log = logging.getLogger(__name__)

_VERSION = 2
_ARRAYS = "arrays.bin"
_INDEX = "index.json"
# Leave this much of the file system free, as a multiple of the copy's size.
_FREE_SPACE_FACTOR = 2
FINISHER_THREAD = "af3opt-weights-copy"


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


@dataclasses.dataclass(frozen=True, slots=True)
class ReadFiles:
    """Files whose digest is known.

    Attributes:
        sha256: As `file_digest` gives it.
        states: As `file_states` gave them before the digest was computed.
    """

    sha256: str
    states: list[list[int]]


def copy_directory(files: WeightFiles) -> Path:
    """Where the copy of these files lies; it need not exist."""
    key = hashlib.sha256("\0".join(str(path.resolve()) for path in files.paths).encode())
    return af3opt_home() / "weights" / key.hexdigest()[:16]


def open_copy(files: WeightFiles) -> MappedWeights | None:
    """Maps the copy of a model's files.

    Args:
        files: The original files.

    Returns:
        The mapped weights, or None when there is no copy or it is out of date,
        damaged, or not private (then the reason is logged).
    """
    directory = copy_directory(files)
    index_path, arrays_path = directory / _INDEX, directory / _ARRAYS
    try:
        for path in (directory, index_path, arrays_path):
            problem = trust_problem(path.stat())
            if problem:
                _log.warning("Weights copy not used: %s %s; remove it", path, problem)
                return None
        index = json.loads(index_path.read_text())
        if index["version"] != _VERSION or index["copy"] != _state(arrays_path):
            _log.info("Weights copy %s is damaged or of another version; made again", directory)
            return None
        if not _matches_original(index, files, index_path):
            _log.info("Weights copy %s is older than %s; made again", directory, files.label)
            return None
        return _map(index, arrays_path)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        _log.info("Weights copy %s cannot be used (%s); made again", directory, error)
        return None


def file_states(files: WeightFiles) -> list[list[int]]:
    """Size and time of each file, which tell whether it has been changed.

    Raises:
        OSError: one is gone.
    """
    return [_state(path) for path in files.paths]


def _state(path: Path) -> list[int]:
    status = path.stat()
    return [status.st_size, status.st_mtime_ns]


def _matches_original(index: dict[str, Any], files: WeightFiles, index_path: Path) -> bool:
    states = file_states(files)
    if index["original"] == states:
        return True
    sizes = [state[0] for state in states]
    if [state[0] for state in index["original"]] != sizes:
        return False
    # Another time and the same size: copied again, or changed. Only the content tells.
    if file_digest(files) != index["sha256"]:
        return False
    with contextlib.suppress(OSError):
        atomic_write_text(index_path, json.dumps({**index, "original": states}), mode=0o600)
    return True


def _map(index: dict[str, Any], arrays_path: Path) -> MappedWeights:
    entries = index["arrays"]
    mapped = _map_arrays([*entries, *index["joined"]], arrays_path)
    return MappedWeights(
        records=mapped[: len(entries)], joined=mapped[len(entries) :], sha256=index["sha256"]
    )


def _map_arrays(entries: Iterable[dict[str, Any]], arrays_path: Path) -> list[Record]:
    mapped = np.frombuffer(_map_file(arrays_path), np.uint8)
    records = []
    for entry in entries:
        start, size = entry["offset"], entry["size"]
        if start % ALIGNMENT or start + size > mapped.size:
            raise ValueError(f"array {entry['scope']}/{entry['name']} lies outside the file")
        array = mapped[start : start + size].view(np.dtype(entry["dtype"])).reshape(entry["shape"])
        records.append(Record(entry["scope"], entry["name"], array))
    return records


def _map_file(path: Path) -> mmap.mmap:
    with path.open("rb") as stream:
        mapped = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
    # Read in large pages if it has to be read at all. Not every kernel can.
    with contextlib.suppress(OSError):
        mapped.madvise(mmap.MADV_HUGEPAGE)
    return mapped


def file_digest(files: WeightFiles) -> str:
    """SHA-256 of the files' concatenated bytes, in hexadecimal."""
    digest = hashlib.sha256()
    for path in files.paths:
        with path.open("rb", buffering=0) as stream:
            while block := stream.read(1 << 22):
                digest.update(block)
    return digest.hexdigest()


def open_scratch(files: WeightFiles, scratch: Path) -> MappedWeights | None:
    """Maps a copy that another process of this user has written but not yet published.

    Args:
        files: The original files.
        scratch: Where `make_copy` said that it is.

    Returns:
        The mapped weights, or None when it has been published or removed meanwhile.
    """
    if scratch.parent != copy_directory(files).parent:
        return None
    try:
        index = json.loads((scratch / _INDEX).read_text())
        return _map(index, scratch / _ARRAYS)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def make_copy(
    files: WeightFiles,
    *,
    known: ReadFiles | None = None,
    wait: bool = False,
    on_written: Callable[[Path], None] | None = None,
) -> MappedWeights | None:
    """Writes the copy of a model's files and maps it.

    The arrays can be used at once; flushing them to disk, which can take longer than
    writing them, goes on in the background, and only then does the copy get its
    final name.

    Args:
        files: The original files.
        known: What is known of them; otherwise the digest is computed on the way.
        wait: Return only when the copy is safely on disk.
        on_written: Is told where the copy lies before it has its final name.

    Returns:
        The mapped weights, or None when no copy is made (no room, or another
        process is making it), with the reason logged.

    Raises:
        SetupError: the original cannot be read, is damaged, or is not what is known any more.
        FormatUnknownError: the original needs a conversion by the engine.
    """
    directory = copy_directory(files)
    try:
        parent = private_directory(directory.parent)
        needed = sum(path.stat().st_size for path in files.paths)
        free = shutil.disk_usage(parent).free
        if free < _FREE_SPACE_FACTOR * needed:
            _log.info("No local copy of the weights: %s has only %d MB free", parent, free >> 20)
            return None
        lock = _take_lock(directory.with_suffix(".lock"))
    except (SetupError, OSError) as error:
        _log.warning("No local copy of the weights: %s", error)
        return None
    if lock is None:
        _log.info("No local copy of the weights: another process is making it")
        return None
    try:
        remove_unfinished(directory)
        scratch = temporary_sibling(directory)
        scratch.mkdir(mode=0o700)
        try:
            weights = _write_copy(files, scratch, known)
        except BaseException:
            shutil.rmtree(scratch, ignore_errors=True)
            raise
    except BaseException as error:
        os.close(lock)
        if isinstance(error, OSError):
            _log.warning("No local copy of the weights: %s", error)
            return None
        raise
    if on_written is not None:
        on_written(scratch)
    # Not a daemon thread: the interpreter waits for it, so the copy gets finished.
    finisher = threading.Thread(
        target=_publish, args=(scratch, directory, lock), name=FINISHER_THREAD
    )
    finisher.start()
    if wait:
        finisher.join()
    return weights


def _take_lock(path: Path) -> int | None:
    """Returns a descriptor that holds the lock, None when another process does.

    Raises:
        OSError: the file cannot be made, as in a home that is read-only.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor


def _write_copy(files: WeightFiles, scratch: Path, known: ReadFiles | None) -> MappedWeights:
    states = known.states if known else file_states(files)
    stream = RecordStream(files, hashing=known is None)
    arrays_path = scratch / _ARRAYS
    descriptor = os.open(arrays_path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb", buffering=0) as file, BlockWriter(file) as output:
        arrays = [
            _write_array(output, header, (piece for _, piece in pieces))
            for header, pieces in itertools.groupby(stream.pieces(), key=lambda one: one[0])
        ]
        # All of them are in the file then.
        output.pad(BLOCK)
        written: dict[str, dict[str, np.ndarray]] = {}
        for record in _map_arrays(arrays, arrays_path):
            written.setdefault(record.scope, {})[record.name] = record.array
        joined = [
            _write_array(
                output,
                RecordHeader(index, one.scope, one.product, one.dtype, one.shape),
                (layer.reshape(-1).view(np.uint8).data for layer in one.by_layer()),
            )
            for index, one in enumerate(operands_to_join(written), start=len(arrays))
        ]
    if known and file_states(files) != known.states:
        raise SetupError(f"{files.label}: changed while it was read; run again")
    index = {
        "version": _VERSION,
        "sha256": known.sha256 if known else stream.sha256,
        "original": states,
        "copy": _state(arrays_path),
        "arrays": arrays,
        "joined": joined,
    }
    atomic_write_text(scratch / _INDEX, json.dumps(index), mode=0o600)
    return _map(index, arrays_path)


def _write_array(
    output: BlockWriter, header: RecordHeader, pieces: Iterable[memoryview]
) -> dict[str, Any]:
    """Appends an array and returns its entry in the index."""
    output.pad(ALIGNMENT)
    offset = output.tell()
    for piece in pieces:
        output.write(piece)
    return {
        "scope": header.scope,
        "name": header.name,
        "dtype": str(header.dtype),
        "shape": list(header.shape),
        "offset": offset,
        "size": output.tell() - offset,
    }


def _publish(scratch: Path, directory: Path, lock: int) -> None:
    """Flushes the copy and gives it its final name."""
    try:
        fsync_tree(scratch)
        for outdated in _move_aside(directory):
            shutil.rmtree(outdated, ignore_errors=True)
        scratch.rename(directory)
        _log.info("Kept a local copy of the weights in %s", directory)
    except OSError as error:
        _log.warning("The local copy of the weights was not kept: %s", error)
        shutil.rmtree(scratch, ignore_errors=True)
    finally:
        os.close(lock)


def _move_aside(directory: Path) -> Iterator[Path]:
    if directory.exists():
        outdated = temporary_sibling(directory)
        directory.rename(outdated)
        yield outdated
