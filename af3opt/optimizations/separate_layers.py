"""Weights of stacked layers as arrays of their own, so that no loop has to copy them out.

The engine keeps a parameter of all 24 layers of the diffusion transformer in one array,
and a loop over layers takes a layer's part at the beginning of each round. XLA:CPU copies
it: 33 MB a layer, 800 MB a sampling step. Cut up before the program, each part is an
argument of its own and is read where it lies. Weights of layers that read the same rows
are put side by side on the way, for one product instead of several.

The stacked arrays stay among the parameters, for whatever else reads them.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from af3opt.inference.weights_format import aligned_empty
from af3opt.optimizations.haiku_access import STACK

_TRANSFORMER = "diffusion_head/transformer"
# Two loops inside each other: blocks of a few layers, and the layers of a block. In
# them, names of parameters begin with the module's own.
_LAYERS = f"{_TRANSFORMER}/{STACK}/{STACK}/transformer"
# Large products, and the layers whose weights they take side by side.
LARGE_PRODUCTS: Mapping[str, Sequence[str]] = {
    "attention_input": ("q_projection", "k_projection", "v_projection", "gating_query"),
    "transition2": ("transition2",),
    "ffw_transition1": ("ffw_transition1",),
    "ffw_transition2": ("ffw_transition2",),
}

Parameters = Mapping[str, Mapping[str, Any]]


def with_separate_layers(parameters: Parameters) -> Parameters:
    """Adds the diffusion transformer's parameters layer by layer.

    Args:
        parameters: Arrays, or their shapes and dtypes, by scope and name.

    Returns:
        The parameters with one scope more a layer, which `separate_layers` finds; as
        they are if they lack a transformer, or part of one. Separate arrays are copies,
        in memory of their own even where the weights are mapped from a file: in a file's
        pages a step took longer.
    """
    import jax

    stacked: dict[str, Any] = {}
    scope = None
    for name, named in parameters.items():
        outer, found, layer = name.partition(_LAYERS)
        if found:
            scope = outer + _TRANSFORMER
            stacked |= {f"{layer}/{kind}": array for kind, array in named.items()}
    needed = [f"{layer}/weights" for layers in LARGE_PRODUCTS.values() for layer in layers]
    if scope is None or not stacked.keys() >= set(needed):
        return parameters
    some = next(iter(stacked.values()))
    if isinstance(some, jax.ShapeDtypeStruct):
        layers = jax.eval_shape(split_layers, stacked)
    else:
        on_host = {name: np.asarray(array) for name, array in stacked.items()}
        layers = jax.device_put(split_layers(on_host, _side_by_side_on_host), some.sharding)
    return {**parameters, **{_scope(scope, number): one for number, one in enumerate(layers)}}


def _side_by_side(parts: Sequence[Any]) -> Any:
    import jax.numpy as jnp

    return jnp.concatenate(parts, axis=-1)


def split_layers(
    stacked: Mapping[str, Any], side_by_side: Callable[[Sequence[Any]], Any] = _side_by_side
) -> list[Mapping[str, Any]]:
    """Takes stacked parameters apart.

    Args:
        stacked: Arrays (blocks, layers of a block, ...) by "layer/parameter" name.
        side_by_side: Joins arrays along their last axis; the default is for JAX to trace.

    Returns:
        For each layer its parameters by name; instead of their layers' weights, the
        operands (inputs, outputs) of `LARGE_PRODUCTS`.
    """
    parts = {name: [_layers_first(array)] for name, array in stacked.items()}
    for product, layers in LARGE_PRODUCTS.items():
        operands = [parts.pop(f"{layer}/weights")[0] for layer in layers]
        parts[product] = [operand.reshape((*operand.shape[:2], -1)) for operand in operands]
    joined = {name: side_by_side(ones) for name, ones in parts.items()}
    number = min(map(len, joined.values()))
    return [{name: array[layer] for name, array in joined.items()} for layer in range(number)]


def separate_layers(scope: str, number: int) -> list[Mapping[str, Any]] | None:
    """The separate parameters of a transformer while a haiku function is traced.

    Args:
        scope: Scope of the transformer.
        number: How many layers it has.

    Returns:
        As `split_layers`; None when the function was given stacked parameters only.
    """
    import haiku as hk

    known = hk.get_params()
    scopes = [_scope(scope, layer) for layer in range(number)]
    if not all(one in known for one in scopes):
        return None
    return [known[one] for one in scopes]


def _scope(transformer: str, layer: int) -> str:
    return f"{transformer}/layer_{layer}"


def _layers_first(stacked: Any) -> Any:
    blocks, layers_of_a_block, *shape = stacked.shape
    return stacked.reshape((blocks * layers_of_a_block, *shape))


def _side_by_side_on_host(parts: Sequence[Any]) -> Any:
    """Joins numpy arrays in new memory that JAX can use where it lies."""
    shape = (*parts[0].shape[:-1], sum(part.shape[-1] for part in parts))
    return np.concatenate(parts, axis=-1, out=aligned_empty(shape, parts[0].dtype))
