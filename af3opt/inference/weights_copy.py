"""A local copy of the weights that is mapped into memory instead of being read.

The original is usually compressed, on a shared file system, and read in full by
every process. The copy holds the same arrays uncompressed and aligned, so that a
process starts with them at once, processes on one node share the memory, and
XLA:CPU computes from the mapped pages without a copy of its own. Weights that some
products read side by side follow in that order, too: a sixth more of the file.

The copy lies under AF3OPT_HOME, readable by the user alone. It is used only while
the original is in the state (see `base.file_state`), or else has the digest, it was made from.
"""

import contextlib
import dataclasses
import fcntl
import hashlib
import itertools
import logging
import os
import shutil
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np

from af3opt.base.atomic import (
    fsync_tree,
    is_temporary,
    remove_tree,
    remove_unfinished,
    temporary_sibling,
)
from af3opt.base.errors import SetupError
from af3opt.base.file_state import file_state
from af3opt.base.json_types import Json, JsonObject
from af3opt.base.ownership import RefusedFileError
from af3opt.base.paths import af3opt_home, private_directory
from af3opt.inference.block_writer import BLOCK, BlockWriter
from af3opt.inference.weights_format import (
    RecordHeader,
    RecordStream,
    WeightFiles,
)
from af3opt.inference.weights_map import (
    ARRAYS_FILE,
    VERSION,
    DamagedCopyError,
    MappedWeights,
    map_arrays,
    map_weights,
    read_index,
    size_and_time,
    write_index,
)
from af3opt.memory.aligned import ALIGNMENT
from af3opt.optimizations.separate_layers import operands_to_join

_log = logging.getLogger(__name__)

# Leave this much of the file system free, as a multiple of the copy's size.
_FREE_SPACE_FACTOR = 2
FINISHER_THREAD = "af3opt-weights-copy"


@dataclasses.dataclass(frozen=True, slots=True)
class ReadFiles:
    """Files whose digest is known.

    Attributes:
        sha256: As `file_digest` gives it.
        states: As `file_states` gave them before the digest was computed.
    """

    sha256: str
    states: list[list[Json]]


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
    try:
        index = read_index(directory)
        if not _matches_original(index, files, directory):
            _log.info("Weights copy %s is older than %s; made again", directory, files.label)
            return None
        return map_weights(directory, index)
    except FileNotFoundError:
        return None
    except RefusedFileError as error:
        _log.warning("Weights copy not used: %s; remove it", error)
        return None
    except DamagedCopyError as error:
        _log.warning("Weights copy %s %s; made again from %s", directory, error, files.label)
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        _log.info("Weights copy %s cannot be used (%s); made again", directory, error)
        return None


def check_copies() -> Iterator[tuple[Path, str | None]]:
    """Reads every byte of all local copies.

    Yields:
        A copy's directory, and what is wrong with it as a clause, or None.
    """
    folder = af3opt_home() / "weights"
    for directory in sorted(folder.iterdir()) if folder.is_dir() else ():
        if is_temporary(directory) or not directory.is_dir():
            continue
        try:
            map_weights(directory, read_index(directory))
        except DamagedCopyError as error:
            yield directory, str(error)
        except (OSError, ValueError, KeyError, TypeError) as error:
            yield directory, f"cannot be used ({error})"
        else:
            yield directory, None


def file_states(files: WeightFiles) -> list[list[Json]]:
    """What tells of each file whether it has been changed; see `base.file_state`.

    Raises:
        OSError: one is gone.
    """
    return [file_state(path) for path in files.paths]


def changed_while_read(files: WeightFiles) -> SetupError:
    """The error of files whose digest is not that of what was read."""
    return SetupError(f"{files.label}: changed while it was read; run again")


def _matches_original(index: JsonObject, files: WeightFiles, directory: Path) -> bool:
    states = file_states(files)
    if index["original"] == states:
        return True
    sizes = [state[0] for state in states]
    if [state[0] for state in index["original"]] != sizes:
        return False
    # Another state and the same size: copied again, or changed. Only the content tells.
    if file_digest(files) != index["sha256"]:
        return False
    with contextlib.suppress(OSError):
        write_index(directory, {**index, "original": states})
    return True


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
        return map_weights(scratch, read_index(scratch))
    except (DamagedCopyError, OSError, ValueError, KeyError, TypeError):
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
    lock = _begin(files, directory)
    if lock is None:
        return None
    try:
        if lock.exclusive:
            remove_unfinished(directory)
        scratch = temporary_sibling(directory)
        scratch.mkdir(mode=0o700)
        try:
            weights = _write_copy(files, scratch, known)
        except BaseException:
            shutil.rmtree(scratch, ignore_errors=True)
            raise
    except BaseException as error:
        lock.release()
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


def _begin(files: WeightFiles, directory: Path) -> "_Lock | None":
    """Takes the lock if there is room for a copy; None with the reason logged if not."""
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
    return lock


@dataclasses.dataclass(frozen=True, slots=True)
class _Lock:
    """A file that says that a copy is being made.

    Attributes:
        descriptor: Keeps it locked until it is closed.
        exclusive: Whether the file system has locks at all. If not, two processes may
            make the same copy; the first to finish puts it in place.
    """

    descriptor: int
    exclusive: bool

    def release(self) -> None:
        """Lets the next process have it."""
        os.close(self.descriptor)


def _take_lock(path: Path) -> _Lock | None:
    """Takes the lock, or returns None when another process holds it.

    Raises:
        OSError: the file cannot be made, as in a home that is read-only.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    descriptor = os.open(path, flags, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    except OSError as error:
        _log.debug("No locks in %s (%s)", path.parent, error.strerror)
        return _Lock(descriptor, exclusive=False)
    return _Lock(descriptor, exclusive=True)


def _write_copy(files: WeightFiles, scratch: Path, known: ReadFiles | None) -> MappedWeights:
    states = known.states if known else file_states(files)
    stream = RecordStream(files, hashing=known is None)
    arrays_path = scratch / ARRAYS_FILE
    descriptor = os.open(arrays_path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb", buffering=0) as file, BlockWriter(file) as output:
        arrays = [
            _write_array(output, header, (piece for _, piece in pieces))
            for header, pieces in itertools.groupby(stream.pieces(), key=lambda one: one[0])
        ]
        # All of them are in the file then.
        output.pad(BLOCK)
        written: dict[str, dict[str, np.ndarray]] = {}
        for record in map_arrays(arrays_path, arrays):
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
        raise changed_while_read(files)
    index = {
        "version": VERSION,
        "sha256": known.sha256 if known else stream.sha256,
        "original": states,
        "copy": size_and_time(arrays_path),
        "arrays": arrays,
        "joined": joined,
        "blocks": output.checksums,
    }
    write_index(scratch, index)
    return map_weights(scratch, index)


def _write_array(
    output: BlockWriter, header: RecordHeader, pieces: Iterable[memoryview]
) -> JsonObject:
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


def _publish(scratch: Path, directory: Path, lock: _Lock) -> None:
    """Flushes the copy and gives it its final name."""
    try:
        fsync_tree(scratch)
        for outdated in _move_aside(directory):
            remove_tree(outdated)
        scratch.rename(directory)
        _log.info("Kept a local copy of the weights in %s", directory)
    except OSError as error:
        _log.warning("The local copy of the weights was not kept: %s", error)
        shutil.rmtree(scratch, ignore_errors=True)
    finally:
        lock.release()


def _move_aside(directory: Path) -> Iterator[Path]:
    if os.path.lexists(directory):
        outdated = temporary_sibling(directory)
        directory.rename(outdated)
        yield outdated
