"""Triangle self-attention in blocks of rows."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from af3opt.base.fidelity import REORDERED
from af3opt.engine.known_functions import known
from af3opt.engine.protocols import Argument, Array, EngineFunction, Module
from af3opt.optimizations.base import Context, Optimization
from af3opt.optimizations.haiku_access import (
    as_module_method,
    is_alphafold3,
    norm_parameters,
    weights,
)

TARGET = known("model.network.modules", "GridSelfAttention.__call__")
# The method that the engine's applies to chunks of rows, and which is written out here.
RELIES_ON = (known("model.network.modules", "GridSelfAttention._attention"),)
# Below any logit, which is lost when it is added, and far enough from float32's end.
_MASKED = -1e30


def _replace(original: EngineFunction, context: Context) -> EngineFunction:
    def attend(
        module: Module, act: Array, pair_mask: Array, *args: Argument, **kwargs: Argument
    ) -> Array:
        if not is_plain(module, args):
            return original(module, act, pair_mask, *args, **kwargs)
        return _attention(module, act, pair_mask, context, kwargs.get("residual"))

    return as_module_method("__call__", attend)


def is_plain(module: Module, args: Sequence[Argument]) -> bool:
    """Whether a call is AlphaFold 3's, with nothing but activations and mask given by place."""
    config = module.config
    special = getattr(config, "dual_output", False) or getattr(config, "qkv_dim", None)
    return not args and not special and is_alphafold3(module)


class Weights(NamedTuple):
    """Parameters of triangle attention.

    Attributes:
        norm: Scale and offset of the norm of the activations, (channels,) each.
        bias: (channels, heads).
        query: (channels, channels of all heads), as are key, value and gate.
        key: See `query`.
        value: See `query`.
        gate: See `query`.
        out: (channels of all heads, channels).
    """

    norm: tuple[Array, Array]
    bias: Array
    query: Array
    key: Array
    value: Array
    gate: Array
    out: Array


def head_shape(act: Array, heads: int) -> tuple[int, int]:
    """Heads, and channels of a head."""
    return heads, max(act.shape[-1] // heads, 16)


def read_weights(act: Array, heads: int) -> Weights:
    """Reads the parameters in the module's scope; `act` gives their size and type."""
    import jax

    channels = act.shape[-1]
    shape = head_shape(act, heads)
    inner = math.prod(shape)
    return Weights(
        norm=norm_parameters("act_norm", channels),
        bias=weights(act, "pair_bias_projection", heads),
        query=weights(act, "q_projection", shape, transposed=True).reshape(inner, channels).T,
        key=weights(act, "k_projection", shape, transposed=True).reshape(inner, channels).T,
        value=weights(act, "v_projection", shape).reshape(channels, inner),
        gate=weights(act, "gating_query", inner, transposed=True).T,
        out=weights(jax.ShapeDtypeStruct((1, inner), act.dtype), "output_projection", channels),
    )


def _attention(
    module: Module, act: Array, pair_mask: Array, context: Context, residual: Array | None
) -> Array:
    """Triangle attention (supplement of AlphaFold 3, algorithms 14 and 15).

    Args:
        module: The engine's GridSelfAttention; `transpose` picks the ending node.
        act: (tokens, tokens, channels).
        pair_mask: (tokens, tokens), 1 where both tokens are real.
        context: Type of the operands, threads.
        residual: What to add the update to, shape and type of `act`, or None.

    Returns:
        The update or the sum, shape and type of `act`.
    """
    import jax.numpy as jnp
    from jax import lax

    from af3opt.optimizations.arithmetic import (
        Whole,
        block_rows,
        map_row_blocks,
        normalise_rows,
        operand_type,
        product,
    )

    operands = context.trunk_operands
    heads = module.config.num_head
    tokens = act.shape[1]
    shape = head_shape(act, heads)
    read = read_weights(act, heads)
    read = read._replace(
        query=read.query * shape[1] ** -0.5,
        # Written out: with a transposed operand XLA widens bfloat16 products to float32.
        gate=lax.optimization_barrier(read.gate),
    )
    rows = block_rows(act, context)
    normed = normalise_rows(act, *read.norm, operand_type(operands), rows)
    bias = map_row_blocks(
        lambda block: product(block, read.bias, operands),
        (normed,),
        rows,
        Whole((tokens, tokens, heads)),
    )
    bias = jnp.transpose(bias, (2, 0, 1))

    def update(block: Array, keys_bias: Array) -> Array:
        return _attend_rows(block, bias, keys_bias, read, shape, operands)

    # Added, not selected: XLA:CPU fuses all of attention unless there is a selection in it.
    keys_bias = jnp.where(jnp.swapaxes(pair_mask, 0, 1).astype(jnp.bool_), 0.0, _MASKED)
    if not module.transpose:
        arrays = (normed, keys_bias)
        return map_row_blocks(update, arrays, rows, Whole(act.shape, act.dtype, residual))
    arrays = (jnp.swapaxes(normed, 0, 1), keys_bias)
    result = jnp.swapaxes(map_row_blocks(update, arrays, rows, Whole(act.shape, act.dtype)), 0, 1)
    return result if residual is None else residual + result


def _attend_rows(
    block: Array,
    bias: Array,
    keys_bias: Array,
    read: Weights,
    shape: tuple[int, int],
    operands: str,
) -> Array:
    """Attention within each row of a block.

    Args:
        block: (rows, tokens, channels), normed.
        bias: (heads, queries, keys).
        keys_bias: (rows, keys), what keeps attention off padding.
        read: The parameters, the query's with the scale of the logits in them.
        shape: Heads, and channels of a head.
        operands: Type of the products' operands.

    Returns:
        The update, (rows, tokens, channels), float32.
    """
    import jax
    import jax.numpy as jnp

    from af3opt.optimizations.arithmetic import product, sigmoid

    def by_heads(projection: Array) -> Array:
        # Heads first: XLA:CPU would otherwise walk through each head's rows in strides.
        split = jnp.reshape(product(block, projection, operands), (*block.shape[:-1], *shape))
        return jnp.swapaxes(split, 1, 2)

    query, key, value = by_heads(read.query), by_heads(read.key), by_heads(read.value)
    logits = jnp.einsum("bhqd,bhkd->bhqk", query, key) + bias + keys_bias[:, None, None, :]
    average = jnp.einsum("bhqk,bhkd->bhqd", jax.nn.softmax(logits, axis=-1), value)
    average = jnp.reshape(jnp.swapaxes(average, 1, 2), (*block.shape[:-1], math.prod(shape)))
    gate = sigmoid(product(block, read.gate, operands))
    return product(average * gate, read.out, operands)


OPTIMIZATION = Optimization(
    name="triangle_attention_blocks",
    fidelity=REORDERED,
    summary="Triangle attention walks over rows that fit the cache.",
    replacements=((TARGET, _replace),),
    relies_on=RELIES_ON,
)
