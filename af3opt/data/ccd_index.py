"""The chemical component dictionary (CCD) as one file with random access.

The engine looks up some thirty components in a job; its own pickle has to be
loaded whole (4 GB of objects, 5-15 s). This file is mapped into memory, its
directory of codes is read at once (under 1 MB) and each component is
decompressed when it is first asked for.

Layout, integers little-endian:

    8 bytes   magic, with the format's version in the last byte
    4 bytes   length of the header
    32 bytes  SHA-256 of header and directory
    header    JSON: count, lengths of the parts below, where the data came from
    directory codes joined by newlines, then count+1 offsets as uint64
    dictionary  shared zstd dictionary
    frames    one zstd frame with checksum a component

A component's plain text is `name US value US value ... RS name US value ...`
(US, RS: ASCII's unit and record separators), one record a mmCIF item. Reading it
can only ever produce strings: nothing is unpickled or evaluated.
"""

import contextlib
import dataclasses
import hashlib
import json
import mmap
import struct
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

import zstandard

from af3opt.base.errors import SetupError
from af3opt.base.foreign_files import open_private
from af3opt.base.json_types import Json, JsonObject
from af3opt.base.ownership import RefusedFileError

Component = dict[str, list[str]]

UNIT_SEPARATOR = "\x1f"
RECORD_SEPARATOR = "\x1e"

_MAGIC = b"AF3OCCD\x01"
_PREFIX = struct.Struct("<8sI32s")
_OFFSETS = struct.Struct("<QQ")
# One dictionary serves all frames: components share item names and most element
# and atom names, which a frame of 2 kB is too short to learn by itself.
_DICTIONARY_BYTES = 112 * 1024
_DICTIONARY_SAMPLES = 2000
_LEVEL = 6
_BATCH = 4096
_MOST_BYTES = 1 << 34


def encode_component(component: Mapping[str, Sequence[str]]) -> bytes:
    """Serialises one component.

    Args:
        component: mmCIF item name -> values, one for each row of its category.

    Returns:
        UTF-8 text as described in the module's docstring.

    Raises:
        ValueError: a name or value contains a separator.
    """
    records = [UNIT_SEPARATOR.join((name, *values)) for name, values in component.items()]
    text = RECORD_SEPARATOR.join(records)
    separators = sum(len(values) for values in component.values())
    if text.count(UNIT_SEPARATOR) != separators or text.count(RECORD_SEPARATOR) != max(
        len(records) - 1, 0
    ):
        raise ValueError("a component's text contains an ASCII unit or record separator")
    return text.encode("utf-8")


def decode_component(text: str) -> Component:
    """Inverse of `encode_component` (after UTF-8 decoding)."""
    component: Component = {}
    if text:
        for record in text.split(RECORD_SEPARATOR):
            name, *values = record.split(UNIT_SEPARATOR)
            component[name] = values
    return component


def decode_first_value(text: bytes, item: str) -> str:
    """Reads an item's first value without decoding the rest of the component.

    Args:
        text: As `encode_component` gives it.
        item: Such as `_chem_comp.type`.

    Raises:
        KeyError: the component has no such item, or no value for it.
    """
    record = f"{RECORD_SEPARATOR}{item}{UNIT_SEPARATOR}".encode()
    _, found, rest = (RECORD_SEPARATOR.encode() + text).partition(record)
    if not found:
        raise KeyError(item)
    value = rest.partition(RECORD_SEPARATOR.encode())[0].partition(UNIT_SEPARATOR.encode())[0]
    return value.decode("utf-8")


def write_ccd_index(
    stream: BinaryIO,
    codes: Sequence[str],
    texts: Sequence[bytes],
    source: Mapping[str, Json],
    threads: int = 0,
) -> None:
    """Writes an index.

    Args:
        stream: Binary stream to write to.
        codes: Component codes, in the order in which the index iterates.
        texts: `encode_component` of each, same order.
        source: JSON-able description of where the data came from, kept in the header.
        threads: Compression threads; 0 means all usable cores.

    Raises:
        ValueError: codes repeat, or one contains a newline.
    """
    if len(set(codes)) != len(codes) or any("\n" in code for code in codes):
        raise ValueError("component codes must be unique and free of newlines")
    dictionary = _train(texts)
    compressor = zstandard.ZstdCompressor(
        level=_LEVEL, dict_data=dictionary, write_checksum=True, write_content_size=True
    )
    frames: list[bytes] = []
    for start in range(0, len(texts), _BATCH):
        # A list of its own: the stubs ask for a mutable list of any buffer.
        batch: list[bytes | bytearray | memoryview] = [*texts[start : start + _BATCH]]
        segments = compressor.multi_compress_to_buffer(batch, threads=threads or -1)
        frames += [segments[number].tobytes() for number in range(len(segments))]
    offsets = [0]
    for frame in frames:
        offsets.append(offsets[-1] + len(frame))
    names = "\n".join(codes).encode("utf-8")
    directory = names + struct.pack(f"<{len(offsets)}Q", *offsets)
    dictionary_bytes = dictionary.as_bytes() if dictionary is not None else b""
    header = json.dumps(
        {
            "count": len(codes),
            "codes_bytes": len(names),
            "dictionary_bytes": len(dictionary_bytes),
            "frames_bytes": offsets[-1],
            "dictionary_sha256": hashlib.sha256(dictionary_bytes).hexdigest(),
            "content_sha256": _content_digest(codes, texts),
            "source": dict(source),
        }
    ).encode("utf-8")
    digest = hashlib.sha256(header + directory).digest()
    stream.write(_PREFIX.pack(_MAGIC, len(header), digest))
    for part in (header, directory, dictionary_bytes, *frames):
        stream.write(part)


def _content_digest(codes: Sequence[str], texts: Sequence[bytes]) -> str:
    """Digest of what the index says, whatever the compression."""
    digest = hashlib.sha256("\n".join(codes).encode("utf-8"))
    for text in texts:
        digest.update(len(text).to_bytes(8, "little"))
        digest.update(text)
    return digest.hexdigest()


def _train(texts: Sequence[bytes]) -> zstandard.ZstdCompressionDict | None:
    """Trains the shared dictionary on evenly spaced components; None if too few."""
    step = max(1, len(texts) // _DICTIONARY_SAMPLES)
    samples: list[bytes | bytearray | memoryview] = [*texts[::step]]
    # zstd refuses to train on a handful of samples; small test sets go without.
    if sum(map(len, samples)) < 10 * _DICTIONARY_BYTES:
        return None
    return zstandard.train_dictionary(_DICTIONARY_BYTES, samples)


class DamagedIndexError(SetupError):
    """An index is not what was written."""


def _refusal(path: Path, reason: str) -> DamagedIndexError:
    return DamagedIndexError(f"CCD index {path} {reason}; run `af3opt prepare --force`")


# One thread at a time finds out whether a damaged index can be made again.
_mending = threading.Lock()


# None where nobody knows what components were made from: what is damaged stays so.
_make_again: Callable[[Path], bool] | None = None


def mend_with(make_again: Callable[[Path], bool]) -> None:
    """Sets what is called for an index of which a component is damaged.

    Args:
        make_again: Makes the file again; tells whether that could be done.
    """
    global _make_again
    _make_again = make_again


@dataclasses.dataclass(frozen=True, slots=True)
class _IndexFile:
    """An open file of the format above.

    Attributes:
        path: The file.
        mapped: Its bytes.
        number: Code -> its number.
        offsets_start: Where the offsets of frames begin.
        frames_start: Where the frames begin.
        dictionary: Shared by the frames.
        source: What identifies where the components came from.
        content_digest: SHA-256 of all codes and components.
    """

    path: Path
    mapped: mmap.mmap
    number: Mapping[str, int]
    offsets_start: int
    frames_start: int
    dictionary: zstandard.ZstdCompressionDict | None
    source: JsonObject
    content_digest: str

    def decompress(self, code: str) -> str:
        """Returns a component's text.

        Raises:
            KeyError: no such code.
            DamagedIndexError: it is not what was written.
        """
        number = self.number[code]
        start, end = _OFFSETS.unpack_from(self.mapped, self.offsets_start + 8 * number)
        frame = self.mapped[self.frames_start + start : self.frames_start + end]
        # A decompressor of its own a call: they are cheap and must not be shared by threads.
        decompressor = zstandard.ZstdDecompressor(dict_data=self.dictionary)
        try:
            return decompressor.decompress(frame).decode("utf-8")
        except (zstandard.ZstdError, UnicodeDecodeError) as error:
            raise _refusal(self.path, f"is damaged (component {code})") from error


def _open(path: Path) -> _IndexFile:
    """Opens an index; see `CcdIndex`."""
    try:
        with open_private(path, _MOST_BYTES) as stream:
            mapped = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
    except RefusedFileError as error:
        raise SetupError(f"CCD index {error}; run `af3opt prepare --force`") from error
    except (OSError, ValueError) as error:
        raise SetupError(
            f"CCD index {path} cannot be opened ({error}); run `af3opt prepare`"
        ) from error
    return _read_directory(path, mapped)


def _read_directory(path: Path, mapped: mmap.mmap) -> _IndexFile:
    if len(mapped) < _PREFIX.size:
        raise _refusal(path, "is truncated")
    magic, header_bytes, digest = _PREFIX.unpack_from(mapped)
    if magic[:-1] != _MAGIC[:-1]:
        raise _refusal(path, "is not a CCD index")
    if magic != _MAGIC:
        raise _refusal(path, f"has format version {magic[-1]}, this af3opt reads {_MAGIC[-1]}")
    end_of_header = _PREFIX.size + header_bytes
    raw_header = mapped[_PREFIX.size : end_of_header]
    try:
        header = json.loads(raw_header)
        count, names_bytes = header["count"], header["codes_bytes"]
        dictionary_bytes, frames_bytes = header["dictionary_bytes"], header["frames_bytes"]
        source: JsonObject = header["source"]
        content_digest: str = header["content_sha256"]
    except (ValueError, KeyError, TypeError) as error:
        raise _refusal(path, "is damaged (header)") from error
    end_of_names = end_of_header + names_bytes
    end_of_directory = end_of_names + 8 * (count + 1)
    frames_start = end_of_directory + dictionary_bytes
    if len(mapped) != frames_start + frames_bytes:
        raise _refusal(path, "is truncated")
    directory = mapped[end_of_header:end_of_directory]
    if hashlib.sha256(raw_header + directory).digest() != digest:
        raise _refusal(path, "is damaged (directory checksum)")
    codes = directory[:names_bytes].decode("utf-8").split("\n") if count else []
    dictionary = mapped[end_of_directory:frames_start]
    if hashlib.sha256(dictionary).hexdigest() != header["dictionary_sha256"]:
        raise _refusal(path, "is damaged (dictionary checksum)")
    return _IndexFile(
        path=path,
        mapped=mapped,
        number=dict(zip(codes, range(count), strict=True)),
        offsets_start=end_of_names,
        frames_start=frames_start,
        dictionary=zstandard.ZstdCompressionDict(dictionary) if dictionary else None,
        source=source,
        content_digest=content_digest,
    )


class CcdIndex(Mapping[str, Component]):
    """Read-only mapping from component code to its mmCIF items.

    Every look-up returns the same dict object for the same code, as the engine's
    own loader does; callers must not change it. Threads may share one index, and
    processes started by fork inherit it without harm.

    Attributes:
        path: The file.
        source: What identifies where the components came from.
        content_digest: SHA-256 of all codes and components; part of every key
            of results that depend on them.
    """

    def __init__(self, path: Path):
        """Opens an index.

        Args:
            path: File written by `write_ccd_index`.

        Raises:
            SetupError: missing, not ours, of another format version, truncated,
                damaged, or writable by somebody else.
        """
        self.path = path
        self._file = _open(path)
        self.source = self._file.source
        self.content_digest = self._file.content_digest
        self._cache: dict[str, Component] = {}

    def _decompress(self, code: str) -> str:
        try:
            return self._file.decompress(code)
        except DamagedIndexError:
            with _mending:
                return self._mended(code)

    def _mended(self, code: str) -> str:
        """Reads a component from what another process has made anew meanwhile, or this one does.

        Raises:
            SetupError: it cannot be made again, or is not what it was.
        """
        with contextlib.suppress(DamagedIndexError):
            return self._opened_again().decompress(code)
        if _make_again is None or not _make_again(self.path):
            raise _refusal(self.path, f"is damaged (component {code})")
        return self._opened_again().decompress(code)

    def _opened_again(self) -> "_IndexFile":
        file = _open(self.path)
        if file.content_digest != self.content_digest:
            raise _refusal(self.path, "has other components than when the run began")
        self._file = file
        return file

    def __getitem__(self, code: str) -> Component:
        """Returns a component.

        Raises:
            KeyError: no such code.
            SetupError: the stored component is damaged.
        """
        component = self._cache.get(code)
        if component is None:
            component = self._cache.setdefault(code, decode_component(self._decompress(code)))
        return component

    def __contains__(self, code: object) -> bool:
        return code in self._file.number

    def __iter__(self) -> Iterator[str]:
        return iter(self._file.number)

    def __len__(self) -> int:
        return len(self._file.number)

    def read(self, code: str) -> Component:
        """Returns a component without keeping it: for walks over the whole dictionary.

        Raises:
            KeyError: no such code.
            SetupError: the stored component is damaged.
        """
        return decode_component(self._decompress(code))

    def __reduce__(self) -> tuple[type["CcdIndex"], tuple[Path]]:
        return CcdIndex, (self.path,)
