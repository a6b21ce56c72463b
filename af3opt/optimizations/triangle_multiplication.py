"""Triangle multiplication with channel-major operands, filled in blocks of rows."""

from collections.abc import Sequence

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
        block_rows,
        map_row_blocks,
        normalise_rows,
        num_blocks,
        operand_type,
        product,
        sigmoid,
        standardise,
    )

    operands = context.trunk_operands
    kind = operand_type(operands)
    tokens, channels = act.shape[1:]
    in_norm = norm_parameters("left_norm_input", channels)
    projection = weights(act, "projection", channels * 2)
    gate = weights(act, "gate", channels * 2)
    scale, offset = (x[:, None, None] for x in norm_parameters("center_norm", channels))
    out_weights = weights(act, "output_projection", channels)
    out_gate_weights = weights(act, "gating_linear", channels)
    # The engine interleaves the two operands' channels.
    sides = [(projection[:, side::2].T, gate[:, side::2].T) for side in (0, 1)]
    # A loop of one turn is unrolled, and XLA:CPU then has no kernel for `project` in
    # bfloat16, which it finds out when it runs.
    rows = block_rows(act, context, least_blocks=2)
    incoming = module.config.equation == INCOMING
    # The product then sums over the last axis in both directions.
    normed = normalise_rows(act, *in_norm, kind, rows)
    source, real = (jnp.swapaxes(x, 0, 1) if incoming else x for x in (normed, mask))
    real = real.astype(jnp.float32)

    def fill(index: Array, buffers: tuple[Array, ...]) -> tuple[Array, ...]:
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
    left, right = (right, left) if incoming else (left, right)
    triangles = jnp.einsum("cik,cjk->cij", left, right, preferred_element_type=jnp.float32)
    triangles = lax.optimization_barrier(triangles)

    def finish(block: Array, inner: Array) -> Array:
        inner = standardise(inner, axis=0) * scale + offset
        # Rounded first, so that half as much moves; and on its own: fused with the norm it
        # would read with a stride.
        inner = lax.optimization_barrier(jnp.transpose(inner.astype(kind), (1, 2, 0)))
        update = product(inner, out_weights, operands)
        return update * sigmoid(product(block, out_gate_weights, operands))

    return map_row_blocks(
        finish,
        (normed, triangles),
        rows,
        act.shape,
        kind=act.dtype,
        onto=residual,
        rows_axes=(0, 1),
    )


OPTIMIZATION = Optimization(
    name="triangle_multiplication_layout",
    fidelity=REORDERED,
    summary="Triangle multiplication fills channel-major operands block by block.",
    replacements=((TARGET, _replace),),
)
