"""The one rule by which sizes are rounded up, so that few programs serve many inputs."""

from collections.abc import Sequence


def padded_size(size: int, sizes: Sequence[int]) -> int:
    """The smallest of the sizes that holds this one; beyond the largest, the size itself.

    Args:
        size: Such as a number of tokens.
        sizes: What is rounded up to, increasing, such as buckets.
    """
    return next((padded for padded in sizes if size <= padded), size)
