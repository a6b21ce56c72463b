"""A token's mean over its atoms, added up slot by slot.

The atom encoder ends with a mean over the 24 places that a token has for atoms. As a
reduction over that axis, XLA:CPU writes a row of 768 channels for every place of every
token and sample, taken or not, and then walks through them in strides. Written as a sum of
24 terms, places are read from the atoms' rows as they are added, all channels at once.
"""

import functools
import operator

from af3opt.base.fidelity import REORDERED
from af3opt.engine.known_functions import known
from af3opt.engine.protocols import Argument, Array, EngineFunction
from af3opt.optimizations.base import Context, Optimization

_TARGET = known("model.components.utils", "mask_mean")
# Places for atoms in a token; the engine also means over much longer axes.
_MOST_PLACES = 24


def _replace(original: EngineFunction, context: Context) -> EngineFunction:
    del context

    def mask_mean(
        mask: Array, value: Array, axis: Argument = None, keepdims: bool = False, eps: float = 1e-10
    ) -> Array:
        if axis != -2 or keepdims or not _is_mean_over_places(mask, value):
            return original(mask, value, axis=axis, keepdims=keepdims, eps=eps)
        return _mean_over_places(mask, value, eps)

    return mask_mean


def _is_mean_over_places(mask: Array, value: Array) -> bool:
    """Whether these are (tokens, places, 1) and (tokens, places, channels), float32.

    Terms of bfloat16 would lose bits that the engine's reduction keeps.
    """
    import jax.numpy as jnp

    shapes_fit = value.ndim == 3 and mask.shape == (*value.shape[:2], 1)
    types_fit = jnp.result_type(mask, value) == value.dtype == jnp.float32
    return bool(shapes_fit and types_fit and value.shape[1] <= _MOST_PLACES)


def _mean_over_places(mask: Array, value: Array, eps: float) -> Array:
    """Masked mean over the middle axis: (tokens, channels)."""
    import jax.numpy as jnp

    terms = (mask[:, place] * value[:, place] for place in range(value.shape[1]))
    return functools.reduce(operator.add, terms) / jnp.maximum(jnp.sum(mask, axis=-2), eps)


OPTIMIZATION = Optimization(
    name="atom_aggregation",
    fidelity=REORDERED,
    summary="A token's mean over its atoms is added up slot by slot.",
    replacements=((_TARGET, _replace),),
)
