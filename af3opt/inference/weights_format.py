"""Reading the engine's weight files: a stream of records, one array each.

A record is five little-endian int32 lengths (scope, name, dtype, number of
dimensions, array bytes), then scope, name and dtype as text, the dimensions as
int32, and the array in C order. The engine reads each record into bytes, copies
the array out of them and copies that to the device; here the bytes of an array
are read once, into memory that XLA can use in place.
"""

import contextlib
import dataclasses
import hashlib
import io
import struct
import sys
from collections.abc import Buffer, Iterator
from pathlib import Path
from typing import BinaryIO

import ml_dtypes  # noqa: F401 - teaches numpy the name bfloat16, which weights are stored in
import numpy as np
import zstandard

from af3opt.base.errors import SetupError
from af3opt.engine.known_functions import known
from af3opt.engine.parameters import select_model_files
from af3opt.engine.patching import first_unknown
from af3opt.memory.aligned import aligned_empty

# Bytes asked for at a time.
_BLOCK = 1 << 20
_LENGTHS = struct.Struct("<5i")
# No scope, name or dtype is longer; a longer one means the file is not of this format.
_LONGEST_TEXT = 4096
_MOST_DIMENSIONS = 16

# What this module was written against.
LOADER = (known("model.params", "get_model_haiku_params"), known("model.params", "_read_record"))
# Forks also store other model families and compressed number formats, which their
# loader converts; files that hold any of these are left to it.
_OTHER_FAMILIES = ("chai1", "boltz2", "esmfold2", "absent")
_CONVERTED_DTYPES = (np.dtype(np.uint16), np.dtype(np.float16))
_QUANTISED_SUFFIX = "__q_scale"


@dataclasses.dataclass(frozen=True, slots=True)
class Record:
    """One parameter.

    Attributes:
        scope: Haiku module path, such as "diffuser/evoformer/...".
        name: Parameter name within it.
        array: The values, in memory aligned to `memory.aligned.ALIGNMENT` bytes.
    """

    scope: str
    name: str
    array: np.ndarray


@dataclasses.dataclass(frozen=True, slots=True)
class WeightFiles:
    """The files of one model, in reading order.

    Attributes:
        paths: One file, or the parts of a split one.
        compressed: Whether their concatenation is one zstandard frame.
    """

    paths: tuple[Path, ...]
    compressed: bool

    @property
    def label(self) -> str:
        """The first file's path, and how many parts follow."""
        more = len(self.paths) - 1
        return f"{self.paths[0]} (and {more} more parts)" if more else str(self.paths[0])


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class WeightsLayout:
    """Which parameters a model's files hold, without their values.

    Attributes:
        arrays: (scope, name, dtype, shape) of each parameter.
        sha256: Digest of the files.
    """

    arrays: tuple[tuple[str, str, str, tuple[int, ...]], ...]
    sha256: str


class FormatUnknownError(Exception):
    """The files need a conversion that only the engine's own loader does."""


def find_weight_files(model_dir: Path) -> WeightFiles:
    """Selects the model files of a directory by the engine's own rules.

    Args:
        model_dir: Directory given as `--model_dir`.

    Raises:
        SetupError: the directory does not exist, cannot be read, holds no model,
            or holds more than one.
    """
    if not model_dir.is_dir():
        raise SetupError(
            f"--model_dir={model_dir}: no such directory; give the one that holds the model "
            "parameters (*.bin or *.bin.zst)"
        )
    try:
        paths, compressed = select_model_files(model_dir)
    except FileNotFoundError as error:
        raise SetupError(
            f"--model_dir={model_dir}: holds no model parameters (*.bin or *.bin.zst)"
        ) from error
    except RuntimeError as error:
        raise SetupError(
            f"--model_dir={model_dir}: holds more than one model; keep one per directory ({error})"
        ) from error
    except OSError as error:
        raise SetupError(f"--model_dir={model_dir}: {error.strerror}") from error
    return WeightFiles(paths, compressed)


def check_engine_loader() -> None:
    """Checks that the engine reads weight files the way this module does.

    Raises:
        FormatUnknownError: its loader is another one.
    """
    if sys.byteorder != "little" or first_unknown(LOADER) is not None:
        raise FormatUnknownError("the engine's weight loader is not one that af3opt knows")


@dataclasses.dataclass(frozen=True, slots=True)
class RecordHeader:
    """What precedes the values of a record.

    Attributes:
        position: How many records come before it.
        scope: As in `Record`.
        name: As in `Record`.
        dtype: Type of the array.
        shape: Its shape.
    """

    position: int
    scope: str
    name: str
    dtype: np.dtype[np.generic]
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        """Bytes of the values."""
        return int(np.prod(self.shape)) * self.dtype.itemsize


class _Parts(io.RawIOBase):
    """Several files read as one, hashing what is read if that is wanted."""

    def __init__(self, paths: tuple[Path, ...], *, hashing: bool) -> None:
        self._pending = list(paths)
        self._open: BinaryIO | None = None
        self._hashing = hashing
        self.sha256 = hashlib.sha256()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Buffer) -> int:
        while True:
            if self._open is None:
                if not self._pending:
                    return 0
                self._open = self._pending.pop(0).open("rb", buffering=0)
            count = self._open.readinto(buffer)  # type: ignore[attr-defined]
            if count:
                if self._hashing:
                    self.sha256.update(memoryview(buffer)[:count])
                return int(count)
            self._open.close()
            self._open = None

    def close(self) -> None:
        if self._open is not None:
            self._open.close()
        super().close()


class _Frame(io.RawIOBase):
    """The content of the zstandard frame that a stream starts with.

    Unlike the library's own reader it notices that the frame is cut off; like it, and
    so like the engine, it ends with the first frame.
    """

    def __init__(self, source: io.RawIOBase) -> None:
        self._source = source
        self._decompressor = zstandard.ZstdDecompressor().decompressobj()
        self._ready = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Buffer) -> int:
        while not self._ready:
            if self._decompressor.eof:
                return 0
            block = self._source.read(_BLOCK)
            if not block:
                raise EOFError("the compressed data is cut off")
            self._ready = memoryview(self._decompressor.decompress(block))
        target = memoryview(buffer)
        count = min(len(target), len(self._ready))
        target[:count] = self._ready[:count]
        self._ready = self._ready[count:]
        return count


class RecordStream:
    """The records of a model's files, and the digest of the files once all are read."""

    def __init__(self, files: WeightFiles, *, hashing: bool = True) -> None:
        """Opens nothing yet.

        Args:
            files: What `find_weight_files` found.
            hashing: Whether the digest is wanted; it takes as long as decoding does.
        """
        self._files = files
        self._parts = _Parts(files.paths, hashing=hashing)
        self._complete = 0

    def __iter__(self) -> Iterator[Record]:
        """Yields every record in file order.

        Raises:
            SetupError: a file cannot be read, or its content is cut off or damaged.
            FormatUnknownError: a record needs a conversion by the engine.
        """
        with self._open() as stream:
            for header in self._headers(stream):
                array = aligned_empty(header.shape, header.dtype)
                _fill(stream, memoryview(array.reshape(-1).view(np.uint8)), header)
                yield Record(header.scope, header.name, array)

    def pieces(self) -> Iterator[tuple[RecordHeader, memoryview]]:
        """Yields the values of every record, at least one piece of each, in file order.

        All lie in the same memory, which a cache holds: a piece is valid until the next is
        asked for. Fresh memory for a gigabyte costs the system a second.

        Raises:
            SetupError: a file cannot be read, or its content is cut off or damaged.
            FormatUnknownError: a record needs a conversion by the engine.
        """
        memory = memoryview(bytearray(_BLOCK))
        with self._open() as stream:
            for header in self._headers(stream):
                for start in range(0, max(header.size, 1), len(memory)):
                    piece = memory[: header.size - start]
                    _fill(stream, piece, header)
                    yield header, piece

    @contextlib.contextmanager
    def _open(self) -> Iterator[io.BufferedReader]:
        """Gives the decoded bytes, and says of which file it is what is wrong with them."""
        with contextlib.closing(self._parts):
            try:
                raw = _Frame(self._parts) if self._files.compressed else self._parts
                yield io.BufferedReader(raw, buffer_size=_BLOCK)
            except OSError as error:
                raise SetupError(
                    f"{self._files.label}: cannot be read: {error.strerror or error}"
                ) from error
            except (_DamagedError, zstandard.ZstdError, EOFError) as error:
                raise SetupError(
                    f"{self._files.label}: damaged or incomplete after {self._complete} "
                    f"parameters ({error}); fetch the file again"
                ) from error
            if not self._complete:
                raise SetupError(f"{self._files.label}: empty; fetch the file again")
            # Bytes after the last record belong to the digest too.
            while self._parts.read(_BLOCK):
                pass

    def _headers(self, stream: io.BufferedReader) -> Iterator[RecordHeader]:
        """Yields the headers of the records; their values are to be read in between."""
        while (header := _read_header(stream, self._complete)) is not None:
            yield header
            self._complete += 1

    @property
    def sha256(self) -> str:
        """Digest of the files' bytes, if it was wanted; complete after the last record."""
        return self._parts.sha256.hexdigest()


def read_arrays(files: WeightFiles) -> tuple[tuple[str, str, str, tuple[int, ...]], ...]:
    """Reads a model's files from end to end without keeping the values.

    Args:
        files: What `find_weight_files` found.

    Returns:
        As `WeightsLayout.arrays`.

    Raises:
        SetupError: a file cannot be read, or its content is cut off or damaged.
        FormatUnknownError: a record needs a conversion by the engine.
    """
    stream = RecordStream(files, hashing=False)
    headers = dict.fromkeys(header for header, _ in stream.pieces())
    return tuple((one.scope, one.name, str(one.dtype), one.shape) for one in headers)


class _DamagedError(Exception):
    """The bytes are not a record."""


def _read_header(stream: io.BufferedReader, position: int) -> RecordHeader | None:
    header = stream.read(_LENGTHS.size)
    if not header:
        return None
    if len(header) < _LENGTHS.size:
        raise _DamagedError("cut off inside a record header")
    scope_length, name_length, dtype_length, dimensions, size = _LENGTHS.unpack(header)
    texts = (scope_length, name_length, dtype_length)
    if min(*texts, dimensions, size) < 0 or max(texts) > _LONGEST_TEXT:
        raise _DamagedError("not a parameter record")
    if dimensions > _MOST_DIMENSIONS:
        raise _DamagedError("not a parameter record")
    layout = f"<{scope_length}s{name_length}s{dtype_length}s{dimensions}i"
    description = stream.read(struct.calcsize(layout))
    if len(description) < struct.calcsize(layout):
        raise _DamagedError("cut off inside a record")
    raw_scope, raw_name, raw_dtype, *shape = struct.unpack(layout, description)
    try:
        scope, name = raw_scope.decode(), raw_name.decode()
        dtype = np.dtype(raw_dtype.decode())
    except (UnicodeDecodeError, TypeError) as error:
        raise _DamagedError("not a parameter record") from error
    read = RecordHeader(position, scope, name, dtype, tuple(shape))
    if any(extent < 0 for extent in shape) or read.size != size:
        raise _DamagedError(f"{scope}/{name} has another size than its shape")
    _check_plain(read)
    return read


def _fill(stream: io.BufferedReader, target: memoryview, header: RecordHeader) -> None:
    done = 0
    while done < len(target):
        count = stream.readinto(target[done:])
        if not count:
            raise _DamagedError(f"cut off inside {header.scope}/{header.name}")
        done += count


def _check_plain(header: RecordHeader) -> None:
    if (
        header.name.endswith(_QUANTISED_SUFFIX)
        or header.dtype in _CONVERTED_DTYPES
        or any(family in f"{header.scope}/{header.name}" for family in _OTHER_FAMILIES)
    ):
        raise FormatUnknownError(f"{header.scope}/{header.name} is stored for conversion")
