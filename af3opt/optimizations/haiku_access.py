"""Reading the engine's parameters under their own names from replaced methods."""

from collections.abc import Sequence

from af3opt.engine.modules import engine_module
from af3opt.engine.protocols import Array, EngineFunction, ModelConfig, Module

# Scope of the parameters of layers that haiku stacks.
STACK = "__layer_stack_with_per_layer"


def as_module_method(name: str, function: EngineFunction) -> EngineFunction:
    """Makes a function a haiku module's method: it runs in the module's name scope.

    haiku wraps methods when their class is created, so the function is given to a
    class of its own and taken back.

    Args:
        name: Name of the method, such as "__call__".
        function: Takes the module as first argument.
    """
    import haiku as hk

    carrier = type(hk.Module)("Carrier", (hk.Module,), {name: function})
    method: EngineFunction = vars(carrier)[name]
    return method


def weights(
    inputs: Array, name: str, num_output: int | Sequence[int], *, transposed: bool = False
) -> Array:
    """The weights of the linear layer `name` in the current scope.

    Args:
        inputs: What the layer is applied to, for the size and type.
        name: The layer's name.
        num_output: Output channels, one number or several axes.
        transposed: Whether the engine keeps them as (outputs, inputs).

    Returns:
        (inputs, *outputs), or (*outputs, inputs) if transposed.
    """
    linear = engine_module("model.components.haiku_modules").haiku_linear_get_params
    values, _ = linear(inputs, num_output=num_output, transpose_weights=transposed, name=name)
    return values


def norm_parameters(name: str, channels: int) -> tuple[Array, Array]:
    """Scale and offset of the layer norm `name` in the current scope, float32."""
    import haiku as hk
    import jax.numpy as jnp

    with hk.name_scope(name):
        scale = hk.get_parameter("scale", (channels,), jnp.float32, init=jnp.ones)
        offset = hk.get_parameter("offset", (channels,), jnp.float32, init=jnp.zeros)
    return scale, offset


def is_alphafold3(module: Module) -> bool:
    """Whether a module computes AlphaFold 3 and no other model an engine may offer."""
    return is_alphafold3_config(module.global_config)


def is_alphafold3_config(global_config: ModelConfig) -> bool:
    """Whether a global configuration is that of AlphaFold 3."""
    return bool(getattr(global_config, "model", "alphafold3") == "alphafold3")
