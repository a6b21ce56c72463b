"""Triangle multiplication with channel-major operands, filled in blocks of rows."""

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

TARGET = known("model.network.modules", "TriangleMultiplication.__call__")
INCOMING = "kjc,kic->ijc"


def _replace(original: EngineFunction, context: Context) -> EngineFunction:
    def multiply(
        module: Module, act: Array, mask: Array, *args: Argument, **kwargs: Argument
    ) -> Array:
        if not is_plain(module, args):
            return original(module, act, mask, *args, **kwargs)
        return _multiplication(module, act, mask, context, kwargs.get("residual"))

    return as_module_method("__call__", multiply)


def is_plain(module: Module, args: Sequence[Argument]) -> bool:
    """Whether a call is AlphaFold 3's, with nothing but activations and mask given by place."""
    config = module.config
    special = getattr(config, "hidden_dim", None) or not config.use_glu_kernel
    return not args and not special and is_alphafold3(module)


class Weights(NamedTuple):
    """Parameters of triangle multiplication.

    Attributes:
        in_norm: Scale and offset of the norm of the activations, (channels,) each.
        projection: (channels, 2 x channels); the two operands' channels alternate.
        gate: The same.
        center_norm: Scale and offset of the norm of the triangles, (channels,) each.
        out: (channels, channels).
        out_gate: (channels, channels).
    """

    in_norm: tuple[Array, Array]
    projection: Array
    gate: Array
    center_norm: tuple[Array, Array]
    out: Array
    out_gate: Array


def read_weights(act: Array) -> Weights:
    """Reads the parameters in the module's scope; `act` gives their size and type."""
    channels = act.shape[-1]
    return Weights(
        in_norm=norm_parameters("left_norm_input", channels),
        projection=weights(act, "projection", channels * 2),
        gate=weights(act, "gate", channels * 2),
        center_norm=norm_parameters("center_norm", channels),
        out=weights(act, "output_projection", channels),
        out_gate=weights(act, "gating_linear", channels),
    )


def _multiplication(
    module: Module, act: Array, mask: Array, context: Context, residual: Array | None
) -> Array:
    """Triangle multiplication (supplement of AlphaFold 3, algorithms 12 and 13).

    Args:
        module: The engine's TriangleMultiplication; its equation picks the direction.
        act: (tokens, tokens, channels).
        mask: (tokens, tokens), 1 where both tokens are real.
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
        sigmoid,
        standardise,
    )

    operands = context.trunk_operands
    kind = operand_type(operands)
    read = read_weights(act)
    scale, offset = (x[:, None, None] for x in read.center_norm)
    # A loop of one turn is unrolled, and XLA:CPU then has no kernel for `project` in
    # bfloat16, which it finds out when it runs.
    rows = block_rows(act, context, least_blocks=2)
    incoming = module.config.equation == INCOMING
    # The product then sums over the last axis in both directions.
    normed = normalise_rows(act, *read.in_norm, kind, rows)
    source, real = (jnp.swapaxes(x, 0, 1) if incoming else x for x in (normed, mask))
    left, right = _operands(source, real.astype(jnp.float32), read, rows)
    left, right = (right, left) if incoming else (left, right)
    triangles = jnp.einsum("cik,cjk->cij", left, right, preferred_element_type=jnp.float32)
    triangles = lax.optimization_barrier(triangles)

    def finish(block: Array, inner: Array) -> Array:
        inner = standardise(inner, axis=0) * scale + offset
        # Rounded first, so that half as much moves; and on its own: fused with the norm it
        # would read with a stride.
        inner = lax.optimization_barrier(jnp.transpose(inner.astype(kind), (1, 2, 0)))
        update = product(inner, read.out, operands)
        return update * sigmoid(product(block, read.out_gate, operands))

    return map_row_blocks(
        finish,
        (normed, triangles),
        rows,
        Whole(act.shape, act.dtype, residual),
        rows_axes=(0, 1),
    )


def _operands(source: Array, real: Array, read: Weights, rows: int) -> tuple[Array, Array]:
    """Both operands of the product, gated, (channels, tokens, tokens) each.

    Args:
        source: (tokens, tokens, channels), normed, of the operands' type.
        real: (tokens, tokens), 1.0 where both tokens are real.
        read: The parameters.
        rows: Rows in a block.
    """
    import jax.numpy as jnp
    from jax import lax

    from af3opt.optimizations.arithmetic import num_blocks, sigmoid

    kind = source.dtype
    tokens, channels = source.shape[1:]
    # The engine interleaves the two operands' channels.
    sides = [(read.projection[:, side::2].T, read.gate[:, side::2].T) for side in (0, 1)]

    def fill(index: Array, buffers: tuple[Array, Array]) -> tuple[Array, ...]:
        block = lax.dynamic_slice_in_dim(source, index * rows, rows, 0)
        present = lax.dynamic_slice_in_dim(real, index * rows, rows, 0).reshape(-1)
        positions = block.reshape(-1, channels)

        def project(transposed: Array) -> Array:
            return lax.dot_general(
                transposed.astype(kind),
                positions,
                (((1,), (1,)), ((), ())),
                preferred_element_type=jnp.float32,
            )

        def side(buffer: Array, value_weights: Array, gate_weights: Array) -> Array:
            value = project(value_weights) * present * sigmoid(project(gate_weights))
            value = value.astype(kind).reshape(channels, rows, tokens)
            return lax.dynamic_update_slice_in_dim(buffer, value, index * rows, 1)

        return tuple(side(buffer, *pair) for buffer, pair in zip(buffers, sides, strict=True))

    empty = jnp.zeros((channels, tokens, tokens), kind)
    left, right = lax.fori_loop(0, num_blocks(tokens, rows), fill, (empty, empty))
    return left, right


OPTIMIZATION = Optimization(
    name="triangle_multiplication_layout",
    fidelity=REORDERED,
    summary="Triangle multiplication fills channel-major operands block by block.",
    replacements=((TARGET, _replace),),
)
