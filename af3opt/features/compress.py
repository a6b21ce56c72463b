"""Lossless, fast-to-load packing of named arrays.

Every array is narrowed where that loses nothing, stored dense or sparse, and all
of them go through zstd as one stream. Unpacking gives back the same dtypes, shapes
and bits: NaN payloads, -0.0, empty and 0-d arrays included. Nothing is pickled.

    4 bytes  length of the header, little-endian
    header   JSON: the arrays' places and forms, and the caller's own JSON
    frame    one zstd frame
"""

import dataclasses
import json
import struct
import time
from collections.abc import Mapping
from typing import Literal

import numpy as np
import zstandard

from af3opt.base.json_files import parse_object
from af3opt.base.json_types import Json, JsonObject
from af3opt.caching.entry import DECODING_ERRORS

Arrays = dict[str, np.ndarray]
Form = Literal["dense", "sparse"]

DEFAULT_LEVEL = 3
_FORMAT_VERSION = 1
_HEADER_LENGTH = struct.Struct("<I")
_PLAIN_KINDS = "biufcSU"
# Arrays start at multiples of this, so that unpacked ones are as aligned as numpy's own.
_ALIGNMENT = 64
# Below this a sparse form cannot save anything worth the choice.
_SPARSE_FROM_BYTES = 64 * 1024
# Above this share of non-zero elements, dense zstd was smaller on every feature measured.
_SPARSE_DENSITY = 0.05
_INTEGER_TYPES = (np.int8, np.int16, np.int32)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ArrayReport:
    """How one array was packed.

    Attributes:
        name: Its name.
        form: How it is stored.
        stored_dtype: The dtype its values are stored in; equal to its own unless
            narrowed.
        raw_bytes: Its size in memory.
        stored_bytes: What goes into the zstd stream.
    """

    name: str
    form: Form
    stored_dtype: str
    raw_bytes: int
    stored_bytes: int


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class CompressedFeatures:
    """Packed arrays.

    Attributes:
        buffers: The packed form, in parts that only need to be joined.
        raw_bytes: Size of all arrays in memory.
        seconds: Time packing took.
        arrays: How each was packed.
    """

    buffers: tuple[bytes, ...]
    raw_bytes: int
    seconds: float
    arrays: tuple[ArrayReport, ...]

    def to_bytes(self) -> bytes:
        """Returns the packed form in one piece."""
        return b"".join(self.buffers)


def compress_features(
    arrays: Mapping[str, np.ndarray],
    *,
    level: int = DEFAULT_LEVEL,
    sparse: bool = True,
    extra: Json = None,
) -> CompressedFeatures:
    """Packs arrays without loss.

    Args:
        arrays: Name -> array of booleans, numbers or fixed-width strings, any rank.
        level: zstd level, 1 (fast) to 19 (small).
        sparse: Whether arrays that are nearly all zero may be stored as positions
            and values; done where the result is measured to be smaller.
        extra: Plain JSON to keep with the arrays.

    Returns:
        The packed form and how it came about.

    Raises:
        TypeError: an array's dtype is none of these (objects, structured types).
    """
    start = time.perf_counter()
    compressor = zstandard.ZstdCompressor(level=level)
    records: list[JsonObject] = []
    reports: list[ArrayReport] = []
    stream = _Stream()
    for name, array in arrays.items():
        array = np.asarray(array)
        if array.dtype.kind not in _PLAIN_KINDS or not array.dtype.isnative:
            raise TypeError(f"feature {name!r} has dtype {array.dtype}, which cannot be packed")
        form, pieces = _encode(array, compressor if sparse else None)
        records.append(
            {
                "name": name,
                "dtype": array.dtype.str,
                "shape": list(array.shape),
                "form": form,
                "pieces": [stream.append(piece) for piece in pieces],
            }
        )
        reports.append(
            ArrayReport(
                name=name,
                form=form,
                stored_dtype=pieces[-1].dtype.str,
                raw_bytes=array.nbytes,
                stored_bytes=sum(piece.nbytes for piece in pieces),
            )
        )
    header = json.dumps(
        {"version": _FORMAT_VERSION, "bytes": stream.nbytes, "arrays": records, "extra": extra}
    ).encode("utf-8")
    frame = compressor.compress(memoryview(stream.joined()))
    return CompressedFeatures(
        buffers=(_HEADER_LENGTH.pack(len(header)), header, frame),
        raw_bytes=sum(report.raw_bytes for report in reports),
        seconds=time.perf_counter() - start,
        arrays=tuple(reports),
    )


class _Stream:
    """The pieces of all arrays one after another, each at an aligned place."""

    def __init__(self) -> None:
        self.nbytes = 0
        self._parts: list[np.ndarray] = []

    def append(self, piece: np.ndarray) -> list[Json]:
        """Adds a piece; returns its dtype, its elements and its place in bytes."""
        padding = -self.nbytes % _ALIGNMENT
        self._parts += [np.zeros(padding, np.uint8), piece.reshape(-1).view(np.uint8)]
        place = self.nbytes + padding
        self.nbytes = place + piece.nbytes
        return [piece.dtype.str, piece.size, place]

    def joined(self) -> np.ndarray:
        """Returns all bytes, uint8 (nbytes,)."""
        return np.concatenate(self._parts) if self._parts else np.zeros(0, np.uint8)


def decompress_features(packed: bytes | memoryview) -> tuple[Arrays, Json]:
    """Unpacks what `compress_features` packed.

    Args:
        packed: Its `to_bytes()`.

    Returns:
        The arrays, writeable and C-contiguous, in their order; and `extra`.

    Raises:
        ValueError: not the packed form, or of another format version.
    """
    view = memoryview(packed)
    try:
        (header_bytes,) = _HEADER_LENGTH.unpack_from(view)
        start = _HEADER_LENGTH.size + header_bytes
        header = parse_object(bytes(view[_HEADER_LENGTH.size : start]))
        if header["version"] != _FORMAT_VERSION:
            raise TypeError(f"format version {header['version']} is not {_FORMAT_VERSION}")
        stream = np.empty(header["bytes"], np.uint8)
        _decompress_into(view[start:], stream)
        arrays = {record["name"]: _decode(record, stream) for record in header["arrays"]}
        return arrays, header["extra"]
    except (struct.error, zstandard.ZstdError, *DECODING_ERRORS) as error:
        raise ValueError(f"not packed features: {error}") from error


def _encode(
    array: np.ndarray, compressor: zstandard.ZstdCompressor | None
) -> tuple[Form, list[np.ndarray]]:
    # `ascontiguousarray` turns 0-d arrays into 1-d ones; the shape is kept in the record.
    flat = narrowed(np.ascontiguousarray(array).reshape(-1))
    if compressor is not None and flat.nbytes >= _SPARSE_FROM_BYTES and flat.dtype.kind in "biuf":
        pieces = _sparse_pieces(flat)
        if pieces is not None and _smaller(pieces, flat, compressor):
            return "sparse", pieces
    return "dense", [flat]


def narrowed(array: np.ndarray) -> np.ndarray:
    """Returns integers in the smallest signed type that holds them all; others as they are."""
    if array.dtype.kind != "i" or array.dtype.itemsize == 1 or not array.size:
        return array
    low, high = array.min(), array.max()
    for candidate in _INTEGER_TYPES:
        limits = np.iinfo(candidate)
        if limits.min <= low and high <= limits.max:
            return array.astype(candidate) if array.dtype != candidate else array
    return array


def _bits(flat: np.ndarray) -> np.ndarray:
    """The same memory as unsigned integers: for these -0.0 and NaN are not zero."""
    return flat.view(np.dtype(f"u{flat.dtype.itemsize}"))


def _sparse_pieces(flat: np.ndarray) -> list[np.ndarray] | None:
    """Distances between the elements whose bits are not all zero, and these elements."""
    if flat.dtype.itemsize > 8:
        return None
    positions = np.flatnonzero(_bits(flat))
    if positions.size > _SPARSE_DENSITY * flat.size:
        return None
    return [narrowed(np.diff(positions, prepend=0)), flat[positions]]


def _smaller(
    pieces: list[np.ndarray], flat: np.ndarray, compressor: zstandard.ZstdCompressor
) -> bool:
    sparse = sum(len(compressor.compress(memoryview(p.view(np.uint8)))) for p in pieces if p.size)
    return sparse < len(compressor.compress(memoryview(flat.view(np.uint8))))


def _decode(record: Mapping[str, Json], stream: np.ndarray) -> np.ndarray:
    dtype, shape = np.dtype(record["dtype"]), tuple(record["shape"])
    if dtype.kind not in _PLAIN_KINDS:
        raise TypeError(f"dtype {dtype} is never packed")
    pieces = [
        stream[place : place + size * np.dtype(stored).itemsize].view(stored)
        for stored, size, place in record["pieces"]
    ]
    if record["form"] == "sparse":
        distances, values = pieces
        flat = np.zeros(int(np.prod(shape, dtype=np.int64)), dtype)
        flat[np.cumsum(distances, dtype=np.int64)] = values
    else:
        flat = pieces[0] if pieces[0].dtype == dtype else pieces[0].astype(dtype)
    return flat.reshape(shape)


def _decompress_into(frame: memoryview, target: np.ndarray) -> None:
    """Fills `target`, so that the arrays are views of one writeable block."""
    with zstandard.ZstdDecompressor().stream_reader(frame) as reader:
        view = memoryview(target)
        filled = 0
        while filled < len(view):
            read = reader.readinto(view[filled:])
            if not read:
                raise EOFError("truncated")
            filled += read
