"""Feature arrays in the form that the model makes of them anyway, only smaller.

The engine hands a batch to JAX, which runs with 64-bit types off: int64 becomes
int32 and float64 becomes float32 on the way to the device. `optimize_features`
does that conversion on the host, once, and refuses it where a value would not
survive. Bits that the model sees are the same; the batch takes less memory and
less time to copy.
"""

import dataclasses
from collections.abc import Mapping

import numpy as np

# What `jax.numpy.asarray` makes of each type when 64-bit types are off.
_MODEL_TYPES: Mapping[np.dtype, np.dtype] = {
    np.dtype(np.int64): np.dtype(np.int32),
    np.dtype(np.uint64): np.dtype(np.uint32),
    np.dtype(np.float64): np.dtype(np.float32),
    np.dtype(np.complex128): np.dtype(np.complex64),
}


@dataclasses.dataclass(frozen=True, slots=True)
class Narrowing:
    """One feature whose dtype was narrowed.

    Attributes:
        feature: Its name.
        before: Its dtype before.
        after: Its dtype after.
        bytes_saved: Memory saved.
    """

    feature: str
    before: str
    after: str
    bytes_saved: int


def optimize_features(
    batch: Mapping[str, np.ndarray],
) -> tuple[dict[str, np.ndarray], list[Narrowing]]:
    """Returns the batch as the model takes it, C-contiguous, in narrower dtypes.

    Args:
        batch: Feature name -> array; the batch and its arrays are left as they are.
            Arrays of objects and strings, which never reach the model, are passed on.

    Returns:
        A new batch that shares the arrays that needed no change, and what was
        narrowed. Integers that do not fit keep their dtype.
    """
    optimized: dict[str, np.ndarray] = {}
    narrowings: list[Narrowing] = []
    for name, array in batch.items():
        target = _MODEL_TYPES.get(array.dtype)
        if target is not None and _fits(array, target):
            optimized[name] = np.asarray(array, dtype=target, order="C")
            narrowings.append(
                Narrowing(
                    feature=name,
                    before=array.dtype.name,
                    after=target.name,
                    bytes_saved=array.nbytes - optimized[name].nbytes,
                )
            )
        elif array.dtype.kind in "biufc":
            optimized[name] = np.asarray(array, order="C")
        else:
            optimized[name] = array
    return optimized, narrowings


def _fits(array: np.ndarray, target: np.dtype) -> bool:
    if target.kind not in "iu" or not array.size:
        return True
    limits = np.iinfo(target)
    return bool(limits.min <= array.min() and array.max() <= limits.max)
