"""Arrays that start on the boundary that XLA wants."""

import numpy as np

# XLA:CPU uses a host buffer in place when it starts on such a boundary.
ALIGNMENT = 64


def aligned_empty(shape: tuple[int, ...], dtype: np.dtype[np.generic]) -> np.ndarray:
    """Allocates an array that starts on an `ALIGNMENT` boundary.

    Args:
        shape: Shape of the array.
        dtype: Its type.

    Returns:
        An uninitialised C-ordered array.
    """
    size = int(np.prod(shape)) * dtype.itemsize
    raw = np.empty(size + ALIGNMENT, np.uint8)
    start = -raw.ctypes.data % ALIGNMENT
    return raw[start : start + size].view(dtype).reshape(shape)
