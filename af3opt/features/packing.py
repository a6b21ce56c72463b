"""A whole batch, engine objects included, as bytes and back."""

from collections.abc import Mapping, Sequence

import numpy as np

from af3opt.caching.entry import DECODING_ERRORS
from af3opt.engine.feature_objects import decode_objects, encode_objects
from af3opt.features.compress import CompressedFeatures, compress_features, decompress_features
from af3opt.features.engine_features import Batch

# Smaller than level 1 with sparse arrays, and packed in half its time; see the table in
# docs/features-and-caches.md.
_LEVEL = 3
_SPARSE = False


def pack_batch(
    batch: Mapping[str, np.ndarray], order: Sequence[str] | None = None
) -> CompressedFeatures:
    """Packs a batch or a part of one.

    Args:
        batch: Feature name -> array; 0-d object arrays hold engine objects.
        order: Names of the whole batch in its order; None means this is all of it.

    Raises:
        UnknownObjectError: an object cannot be taken apart without loss.
        TypeError: an array has a dtype that cannot be packed.
    """
    objects = {name: array.item() for name, array in batch.items() if array.dtype == object}
    plain = {name: array for name, array in batch.items() if array.dtype != object}
    description, columns = encode_objects(objects)
    extra = {
        "order": list(batch if order is None else order),
        "objects": description,
        "columns": list(columns),
    }
    return compress_features({**plain, **columns}, level=_LEVEL, sparse=_SPARSE, extra=extra)


def unpack_batch(packed: bytes | memoryview) -> tuple[Batch, list[str]]:
    """Unpacks what `pack_batch` packed.

    Returns:
        The features, and the names of the whole batch in its order.

    Raises:
        ValueError: it is not a packed batch.
    """
    try:
        arrays, extra = decompress_features(packed)
        columns = {name: arrays.pop(name) for name in extra["columns"]}
        return {**arrays, **decode_objects(extra["objects"], columns)}, list(extra["order"])
    except DECODING_ERRORS as error:
        raise ValueError(f"not a packed batch: {error}") from error
