"""The transition blocks of pair, MSA and single representation in blocks of rows."""

from collections.abc import Mapping, Sequence

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

TARGET = known("model.network.modules", "TransitionBlock.__call__")


def _replace(original: EngineFunction, context: Context) -> EngineFunction:
    def transition(module: Module, act: Array, *args: Argument, **kwargs: Argument) -> Array:
        if not is_plain(module, args, kwargs):
            return original(module, act, *args, **kwargs)
        update = _transition(module, act, context)
        residual = kwargs.get("residual")
        return update if residual is None else residual + update

    return as_module_method("__call__", transition)


def is_plain(module: Module, args: Sequence[Argument], kwargs: Mapping[str, Argument]) -> bool:
    """Whether a call is AlphaFold 3's, without a mask."""
    plain = kwargs.get("mask") is None and len(args) < 2
    return bool(plain and is_alphafold3(module) and module.config.use_glu_kernel)


def _transition(module: Module, act: Array, context: Context) -> Array:
    """SwiGLU transition (supplement of AlphaFold 3, algorithm 11).

    Args:
        module: The engine's TransitionBlock.
        act: (..., channels).
        context: Type of the operands, threads.

    Returns:
        The update, shape and type of `act`.
    """
    import jax

    from af3opt.optimizations.arithmetic import (
        Whole,
        block_rows,
        map_row_blocks,
        normalise,
        product,
        sigmoid,
    )

    operands = context.trunk_operands
    channels = act.shape[-1]
    hidden = int(channels * module.config.num_intermediate_factor)
    scale, offset = norm_parameters("input_layer_norm", channels)
    expand = weights(act, "transition1", hidden * 2)
    gate_weights, value_weights = expand[:, :hidden], expand[:, hidden:]
    contract = weights(jax.ShapeDtypeStruct((1, hidden), act.dtype), "transition2", channels)

    def update(block: Array) -> Array:
        normed = normalise(block, scale, offset)
        gate = product(normed, gate_weights, operands)
        value = product(normed, value_weights, operands)
        return product(gate * sigmoid(gate) * value, contract, operands)

    rows = block_rows(act, context)
    return map_row_blocks(update, (act,), rows, Whole(act.shape)).astype(act.dtype)


OPTIMIZATION = Optimization(
    name="transition_blocks",
    fidelity=REORDERED,
    summary="Transition blocks walk over rows that fit the cache.",
    replacements=((TARGET, _replace),),
)
