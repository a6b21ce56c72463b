"""Layers of the pair stack in one to three GPU kernels each, from the package colabfold-kernels.

On a GPU these layers are bound by memory: norm, projections, gate and sum are kernels of
their own in the engine, each of which reads and writes the whole pair representation, and
XLA transposes it between them. The package's kernels (Pallas, compiled by Triton) keep a
tile on the chip from the norm to the sum. Operands of products are bfloat16 and sums
float32 as in the engine, but what the engine rounds to bfloat16 between two layers of a
module stays float32, and on Ampere and Hopper triangle attention works in float16, which
rounds eight times finer: results are nearer to float32 than the engine's.

A layer of another type or size than the package serves is left to the engine.
"""

from collections.abc import Mapping

from af3opt.base.fidelity import PRECISION
from af3opt.engine.patching import Package
from af3opt.engine.protocols import Argument, Array, EngineFunction, Module
from af3opt.optimizations import transition, triangle_attention, triangle_multiplication
from af3opt.optimizations.base import Context, Optimization
from af3opt.optimizations.haiku_access import as_module_method, norm_parameters, weights

_PACKAGE = Package("colabfold-kernels", "0.9", "kernels")
# Kernels for GPUs that Triton serves.
_OPTIONS: Mapping[str, str | bool] = {"use_pallas": True, "kernel_backend": "pallas"}
# Above this the engine saves memory: it cuts transitions into pieces, and the kernels'
# operands, which are as large as what a transition has between its products, would not do.
_MOST_POSITIONS = 2048 * 2048


def _attention_replacement(original: EngineFunction, context: Context) -> EngineFunction:
    del context

    def attend(
        module: Module, act: Array, pair_mask: Array, *args: Argument, **kwargs: Argument
    ) -> Array:
        plain = triangle_attention.is_plain(module, args)
        kernels = _attention_kernels(act, module.config.num_head) if plain else None
        if kernels is None:
            return original(module, act, pair_mask, *args, **kwargs)
        return _attention(module, act, pair_mask, kwargs.get("residual"), kernels)

    return as_module_method("__call__", attend)


def _attention_kernels(act: Array, heads: int) -> tuple[EngineFunction, ...] | None:
    from colabfold_kernels import fused_ops

    if act.shape[0] * act.shape[1] > _MOST_POSITIONS:
        return None
    channels = act.shape[-1]
    _, head_channels = triangle_attention.head_shape(act, heads)
    inner = heads * head_channels
    kernels = (
        fused_ops.ln_projection(_OPTIONS, act.dtype, channels, inner),
        fused_ops.packed_attention(_OPTIONS, act.dtype, head_channels, head_channels),
        fused_ops.output_projection(_OPTIONS, act.dtype, inner, channels),
    )
    return None if None in kernels else kernels


def _attention(
    module: Module,
    act: Array,
    pair_mask: Array,
    residual: Array | None,
    kernels: tuple[EngineFunction, ...],
) -> Array:
    """Triangle attention (supplement of AlphaFold 3, algorithms 14 and 15).

    Args:
        module: The engine's GridSelfAttention; `transpose` picks the ending node.
        act: (tokens, tokens, channels), bfloat16.
        pair_mask: (tokens, tokens), 1 where both tokens are real.
        residual: What to add the update to, shape and type of `act`, or None.
        kernels: From the raw pair to packed projections and bias, attention and gate,
            output and sum.

    Returns:
        The update or the sum, shape and type of `act`.
    """
    import jax.numpy as jnp

    project, attend, finish = kernels
    kind = act.dtype
    heads = module.config.num_head
    rows, columns, channels = act.shape
    shape = triangle_attention.head_shape(act, heads)
    read = triangle_attention.read_weights(act, heads)
    packed_weights = jnp.stack([read.query, read.key, read.value, read.gate]).astype(kind)

    packed, bias = project(
        act.reshape(-1, channels), *read.norm, packed_weights, read.bias.astype(kind)
    )
    average = attend(
        packed.reshape(rows, columns, len(packed_weights), *shape),
        bias.reshape(heads, rows, columns),
        jnp.swapaxes(pair_mask, 0, 1).astype(jnp.bool_),
        jnp.zeros(shape, kind),
        sm_scale=shape[1] ** -0.5,
        column=module.transpose,
    )
    added = [] if residual is None else [residual.reshape(-1, channels)]
    zero = jnp.zeros(channels, kind)
    average = average.reshape(rows * columns, -1)
    return finish(average, read.out.astype(kind), zero, *added).reshape(act.shape)


def _multiplication_replacement(original: EngineFunction, context: Context) -> EngineFunction:
    del context

    def multiply(
        module: Module, act: Array, mask: Array, *args: Argument, **kwargs: Argument
    ) -> Array:
        plain = triangle_multiplication.is_plain(module, args)
        kernels = _multiplication_kernels(act) if plain else None
        if kernels is None:
            return original(module, act, mask, *args, **kwargs)
        return _multiplication(module, act, mask, kwargs.get("residual"), kernels)

    return as_module_method("__call__", multiply)


def _multiplication_kernels(act: Array) -> tuple[EngineFunction, ...] | None:
    from colabfold_kernels import fused_ops

    if act.shape[0] * act.shape[1] > _MOST_POSITIONS:
        return None
    channels = act.shape[-1]
    kernels = (
        fused_ops.ln_gated_dual_proj(_OPTIONS, act.dtype, channels, channels),
        fused_ops.trimul_epilogue_ln(_OPTIONS, act.dtype),
    )
    return None if None in kernels else kernels


def _multiplication(
    module: Module,
    act: Array,
    mask: Array,
    residual: Array | None,
    kernels: tuple[EngineFunction, ...],
) -> Array:
    """Triangle multiplication (supplement of AlphaFold 3, algorithms 12 and 13).

    Args:
        module: The engine's TriangleMultiplication; its equation picks the direction.
        act: (tokens, tokens, channels), bfloat16.
        mask: (tokens, tokens), 1 where both tokens are real.
        residual: What to add the update to, shape and type of `act`, or None.
        kernels: From the raw pair to both operands, and from their product to the update.

    Returns:
        The update or the sum, shape and type of `act`.
    """
    import jax.numpy as jnp

    project, finish = kernels
    kind = act.dtype
    channels = act.shape[-1]
    positions = act.reshape(-1, channels)
    read = triangle_multiplication.read_weights(act)

    def one_side_after_the_other(interleaved: Array) -> Array:
        return jnp.concatenate([interleaved[:, 0::2], interleaved[:, 1::2]], axis=1).astype(kind)

    no_bias = jnp.zeros(2 * channels, kind)
    left, right = project(
        positions,
        *read.in_norm,
        one_side_after_the_other(read.projection),
        no_bias,
        one_side_after_the_other(read.gate),
        no_bias,
        mask.reshape(-1).astype(kind),
    )
    left, right = (side.reshape(channels, *act.shape[:2]) for side in (left, right))
    incoming = module.config.equation == triangle_multiplication.INCOMING
    triangles = jnp.einsum("ckj,cki->cij" if incoming else "cik,cjk->cij", left, right)
    no_bias = jnp.zeros(channels, kind)
    # The kernel can add what it has normed.
    in_place = residual is act
    result = finish(
        triangles.reshape(channels, -1),
        positions,
        *read.in_norm,
        *read.center_norm,
        read.out.astype(kind),
        no_bias,
        read.out_gate.astype(kind),
        no_bias,
        add_input=in_place,
    ).reshape(act.shape)
    return result if residual is None or in_place else residual + result


def _transition_replacement(original: EngineFunction, context: Context) -> EngineFunction:
    del context

    def transit(module: Module, act: Array, *args: Argument, **kwargs: Argument) -> Array:
        plain = transition.is_plain(module, args, kwargs)
        kernel = _transition_kernel(act, module.config.num_intermediate_factor) if plain else None
        if kernel is None:
            return original(module, act, *args, **kwargs)
        update = _transition(module, act, kernel)
        residual = kwargs.get("residual")
        return update if residual is None else residual + update

    return as_module_method("__call__", transit)


def _transition_kernel(act: Array, factor: int) -> EngineFunction | None:
    from colabfold_kernels import fused_ops

    channels = act.shape[-1]
    kernel: EngineFunction | None = fused_ops.glu_transition(
        _OPTIONS, act.dtype, channels, int(channels * factor)
    )
    return kernel


def _transition(module: Module, act: Array, kernel: EngineFunction) -> Array:
    """SwiGLU transition (supplement of AlphaFold 3, algorithm 11).

    Args:
        module: The engine's TransitionBlock.
        act: (..., channels), bfloat16.
        kernel: Computes all of it.

    Returns:
        The update, shape and type of `act`.
    """
    import jax

    channels = act.shape[-1]
    hidden = int(channels * module.config.num_intermediate_factor)
    norm = norm_parameters("input_layer_norm", channels)
    expand = weights(act, "transition1", hidden * 2).astype(act.dtype)
    contract = weights(jax.ShapeDtypeStruct((1, hidden), act.dtype), "transition2", channels)
    return kernel(act, *norm, expand[:, :hidden], expand[:, hidden:], contract.astype(act.dtype))


OPTIMIZATION = Optimization(
    name="fused_pair_kernels",
    fidelity=PRECISION,
    summary="Layers of the pair stack run in fused kernels of the package colabfold-kernels.",
    replacements=(
        (triangle_attention.TARGET, _attention_replacement),
        (triangle_multiplication.TARGET, _multiplication_replacement),
        (transition.TARGET, _transition_replacement),
    ),
    relies_on=triangle_attention.RELIES_ON,
    backends=frozenset({"gpu"}),
    wanted=lambda context: context.attention == "triton",
    package=_PACKAGE,
)
