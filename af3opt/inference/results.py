"""From a model result on the device to plain numpy arrays on the host."""

import numpy as np

from af3opt.engine.protocols import Array, ModelResult

IDENTIFIER = "__identifier__"


def post_process_result(result: ModelResult, identifier: bytes) -> ModelResult:
    """Copies a result to the host once, as types that numpy and the engine know.

    Args:
        result: Result of the forward pass; nested mappings of device arrays.
        identifier: The weights' identifier record.

    Returns:
        The same structure as numpy arrays, bfloat16 widened to float32 (which is
        exact), with the identifier under `__identifier__`.
    """
    import jax

    # All copies are started before the first is waited for.
    for leaf in jax.tree.leaves(result):
        leaf.copy_to_host_async()
    host = dict(jax.tree.map(_to_host, result))
    host[IDENTIFIER] = identifier
    return host


def _to_host(array: Array) -> np.ndarray:
    import jax.numpy as jnp

    host = np.asarray(array)
    return host.astype(np.float32) if host.dtype == jnp.bfloat16 else host
