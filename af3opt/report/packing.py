"""Values as JSON text that is small, strict and safe inside an HTML page."""

import base64
import json
import math
import zlib

import numpy as np

from af3opt.base.json_types import Json, JsonObject

_MAX_DEPTH = 12


def pack(array: np.ndarray) -> str:
    """Compresses an array to base64 text (zlib; the page inflates it).

    Args:
        array: Integers of 1, 2 or 4 bytes; written little-endian, row by row.
    """
    data = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<")).tobytes()
    return base64.b64encode(zlib.compress(data, 9)).decode("ascii")


def pack_words(words: tuple[str, ...]) -> JsonObject:
    """Encodes repeated words as a list of distinct ones and an index, uint32 [words]."""
    index = {word: i for i, word in enumerate(dict.fromkeys(words))}
    return {"words": list(index), "index": pack(np.array([index[w] for w in words], np.uint32))}


def rounded(value: float | None, digits: int = 4) -> float | None:
    """A rounded finite number, else None."""
    return round(float(value), digits) if value is not None and math.isfinite(value) else None


def numbers(array: np.ndarray | None) -> Json:
    """A float array as nested lists of rounded numbers, None for what is not finite."""
    if array is None:
        return None
    return [numbers(row) if row.ndim else rounded(float(row)) for row in array]


def strict(value: Json, depth: int = 0) -> Json:
    """Copies JSON data of unknown origin without NaN, infinities and bottomless nesting."""
    if isinstance(value, dict | list) and depth >= _MAX_DEPTH:
        return "…"
    if isinstance(value, dict):
        return {str(key): strict(item, depth + 1) for key, item in value.items()}
    if isinstance(value, list):
        return [strict(item, depth + 1) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value


def json_for_script(value: Json) -> str:
    """JSON that can stand inside a script element whatever strings it holds.

    No `<`, `>` or `&` remains, so that no string can end the element or open a
    comment; everything beyond ASCII, U+2028 included, is escaped.

    Raises:
        ValueError: a number is not finite.
    """
    text = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
