"""Large matrices in JSON text, read without making an object of every number.

As Python objects, a matrix of 5,000 tokens takes gigabytes. Its text is kept from the
JSON parser and read as an array.
"""

import re
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

_END = re.compile(rb"\]\s*\]")
_MISSING = re.compile(rb"null|NaN")
_EMPTY_CELL = re.compile(rb"[\[,]\s*[\],]")
_NUMBERS_ONLY = re.compile(rb"[\d\s.,eE+\-\[\]]*")
# Of this size, the arrays in between stay small.
_PIECE_BYTES = 1 << 20
_DIGIT_ZERO = np.uint8(ord("0"))
_LAYOUT, _DIGIT, _DOT, _OTHER = range(4)


def _byte_kinds() -> NDArray[np.uint8]:
    kinds = np.full(256, _OTHER, np.uint8)
    kinds[list(b" \n\r\t[],")] = _LAYOUT
    kinds[list(b"0123456789")] = _DIGIT
    kinds[ord(".")] = _DOT
    return kinds


_KINDS = _byte_kinds()


def cut_matrices(data: bytes, keys: Iterable[str]) -> tuple[bytes, dict[str, slice]]:
    """Takes matrices out of the text of a JSON object.

    Args:
        data: The text.
        keys: Names of members whose values are lists of lists.

    Returns:
        The text with `null` in place of each matrix; and for each key that has one, where
        it stands in `data`.
    """
    spans = {}
    for key in keys:
        start = re.search(rb'"%s"\s*:\s*(?=\[\s*\[)' % re.escape(key.encode()), data)
        end = start and _END.search(data, start.end())
        if start and end:
            spans[key] = slice(start.end(), end.end())
    rest, position = [], 0
    for span in sorted(spans.values(), key=lambda span: int(span.start)):
        rest += [data[position : span.start], b"null"]
        position = span.stop
    return b"".join([*rest, data[position:]]), spans


def parse_matrix(
    data: bytes, span: slice, piece_bytes: int = _PIECE_BYTES
) -> NDArray[np.float32] | None:
    """Reads a square matrix of numbers and nulls.

    Args:
        data: The text of a JSON object.
        span: Where the matrix stands in it; see `cut_matrices`.
        piece_bytes: Whole rows are read in pieces of about this size.

    Returns:
        float32 [rows, rows], NaN for null; None unless it is a square matrix of plain
        numbers and nulls.
    """
    rows = data.count(b"[", span.start, span.stop) - 1
    flat = _parse_tenths(data, span, rows * rows, piece_bytes)
    if flat is None:
        flat = _parse_any(data[span])
    return flat.reshape(rows, rows) if flat is not None and flat.size == rows * rows > 0 else None


def _parse_tenths(
    data: bytes, span: slice, count: int, piece_bytes: int
) -> NDArray[np.float32] | None:
    """Reads numbers below 1,000 with one decimal, as AlphaFold 3 writes them.

    Returns:
        float32 [count]; None if there are others, or more or fewer than `count`.
    """
    values = np.empty(count, np.float32)
    start, known = span.start, 0
    while start < span.stop:
        end = data.find(b"]", start + piece_bytes, span.stop) + 1 or span.stop
        piece = _piece_of_tenths(np.frombuffer(data, np.uint8, end - start, start))
        if piece is None or known + len(piece) > count:
            return None
        values[known : known + len(piece)] = piece
        start, known = end, known + len(piece)
    return values if known == count else None


def _piece_of_tenths(text: NDArray[np.uint8]) -> NDArray[np.float32] | None:
    kinds = _KINDS[text]
    if kinds.max() == _OTHER:
        return None
    digit = text - _DIGIT_ZERO
    dot = np.flatnonzero(kinds == _DOT)
    digits = np.count_nonzero(kinds == _DIGIT)
    if not len(dot):
        return np.empty(0, np.float32) if not digits else None
    if dot[0] < 1 or dot[-1] + 1 >= len(text):
        return None
    tenths, units = digit[dot + 1], digit[dot - 1]
    # Bytes that are no digit wrap to more than nine.
    tens, hundreds = digit[np.maximum(dot - 2, 0)], digit[np.maximum(dot - 3, 0)]
    has_tens = (tens <= 9) & (dot >= 2)
    has_hundreds = has_tens & (hundreds <= 9) & (dot >= 3)
    found = 2 * len(dot) + np.count_nonzero(has_tens) + np.count_nonzero(has_hundreds)
    # Every digit belongs to one [h][t]u.d: no number is of another form.
    if (tenths > 9).any() or (units > 9).any() or found != digits:
        return None
    value = units.astype(np.int16) * 10
    value += tenths
    value += np.where(has_tens, tens, 0).astype(np.int16) * 100
    value += np.where(has_hundreds, hundreds, 0).astype(np.int16) * 1000
    tenth: NDArray[np.float32] = np.divide(value, np.float32(10), dtype=np.float32)
    return tenth


def _parse_any(text: bytes) -> NDArray[np.float32] | None:
    """Reads numbers of any form and nulls; None if there is anything else."""
    if _EMPTY_CELL.search(text) or not _NUMBERS_ONLY.fullmatch(_MISSING.sub(b"0", text)):
        return None
    plain = _MISSING.sub(b"nan", text).translate(bytes.maketrans(b"[]", b"  "))
    try:
        values: NDArray[np.float32] = np.fromstring(plain, np.float32, sep=",")
    except ValueError:
        return None
    return values
