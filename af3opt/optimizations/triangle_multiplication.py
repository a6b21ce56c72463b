"""Triangle multiplication with channel-major operands, filled in blocks of rows."""

from collections.abc import Callable
from typing import Any

from af3opt.optimizations.base import REORDERED, Context, Optimization, Target
from af3opt.optimizations.haiku_access import (
    as_module_method,
    is_alphafold3,
    norm_parameters,
    weights,
)

_TARGET = Target(
    "model.network.modules",
    "TriangleMultiplication.__call__",
    frozenset({"8fc3164833aa04c1", "22979a47d16e708d"}),
)
_CHANNEL_MAJOR = {"ikc,jkc->ijc": "cik,cjk->cij", "kjc,kic->ijc": "ckj,cki->cij"}


def _replace(original: Callable[..., Any], context: Context) -> Callable[..., Any]:
    def multiply(module: Any, act: Any, mask: Any, *args: Any, **kwargs: Any) -> Any:
        config = module.config
        special = getattr(config, "hidden_dim", None) or not config.use_glu_kernel
        if args or special or not is_alphafold3(module):
            return original(module, act, mask, *args, **kwargs)
        update = _multiplication(module, act, mask, context)
        residual = kwargs.get("residual")
        return update if residual is None else residual + update

    return as_module_method("__call__", multiply)


def _multiplication(module: Any, act: Any, mask: Any, context: Context) -> Any:
    """Triangle multiplication (supplement of AlphaFold 3, algorithms 12 and 13).

    Args:
        module: The engine's TriangleMultiplication; its equation picks the direction.
        act: (tokens, tokens, channels).
        mask: (tokens, tokens), 1 where both tokens are real.
        context: Type of the operands, threads.

    Returns:
        The update, shape and type of `act`.
    """
    import jax.numpy as jnp
    from jax import lax

    from af3opt.optimizations.arithmetic import block_rows, normalise, product, sigmoid

    operands = context.trunk_operands
    tokens, channels = act.shape[1:]
    in_norm = norm_parameters("left_norm_input", channels)
    projection = weights(act, "projection", channels * 2)
    gate = weights(act, "gate", channels * 2)
    centre_norm = norm_parameters("center_norm", channels)
    out_weights = weights(act, "output_projection", channels)
    out_gate_weights = weights(act, "gating_linear", channels)
    # The engine interleaves the two operands' channels.
    sides = [(projection[:, side::2], gate[:, side::2]) for side in (0, 1)]
    rows = block_rows(act, context)
    mask = mask.astype(jnp.float32)

    def fill(index: Any, buffers: tuple[Any, ...]) -> tuple[Any, ...]:
        block = lax.dynamic_slice_in_dim(act, index * rows, rows, 0)
        real = lax.dynamic_slice_in_dim(mask, index * rows, rows, 0)[..., None]
        normed = normalise(block, *in_norm)

        def side(buffer: Any, value_weights: Any, gate_weights: Any) -> Any:
            value = product(normed, value_weights, operands) * real
            value = value * sigmoid(product(normed, gate_weights, operands))
            # Transposed on its own: inside the product's loop it would read with a stride.
            value = jnp.transpose(lax.optimization_barrier(value), (2, 0, 1))
            return lax.dynamic_update_slice_in_dim(buffer, value, index * rows, 1)

        return tuple(side(buffer, *pair) for buffer, pair in zip(buffers, sides, strict=True))

    empty = jnp.zeros((channels, tokens, tokens), jnp.float32)
    left, right = lax.fori_loop(0, tokens // rows, fill, (empty, empty))
    triangles = jnp.einsum(_CHANNEL_MAJOR[module.config.equation], left, right)
    triangles = lax.optimization_barrier(triangles)

    def finish(index: Any, result: Any) -> Any:
        block = lax.dynamic_slice_in_dim(act, index * rows, rows, 0)
        inner = lax.dynamic_slice_in_dim(triangles, index * rows, rows, 1)
        inner = lax.optimization_barrier(jnp.transpose(inner, (1, 2, 0)))
        update = product(normalise(inner, *centre_norm), out_weights, operands)
        normed = normalise(block, *in_norm)
        update = update * sigmoid(product(normed, out_gate_weights, operands))
        return lax.dynamic_update_slice_in_dim(result, update, index * rows, 0)

    empty = jnp.zeros(act.shape, jnp.float32)
    return lax.fori_loop(0, tokens // rows, finish, empty).astype(act.dtype)


OPTIMIZATION = Optimization(
    name="triangle_multiplication_layout",
    fidelity=REORDERED,
    summary="Triangle multiplication fills channel-major operands block by block.",
    replacements=((_TARGET, _replace),),
)
