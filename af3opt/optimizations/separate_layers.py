"""Weights of stacked layers as arrays of their own, so that no loop has to copy them out.

The engine keeps a parameter of all 24 layers of the diffusion transformer in one array,
and a loop over layers takes a layer's part at the beginning of each round. XLA:CPU copies
it: 33 MB a layer, 800 MB a sampling step. Cut up before the program, each part is an
argument of its own and is read where it lies. Weights of layers that read the same rows
are put side by side on the way, for one product instead of several; the local copy of the
weights holds those ready.

The stacked arrays stay among the parameters, for whatever else reads them.
"""

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from af3opt.engine.protocols import Array
from af3opt.memory.aligned import aligned_empty
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

Parameters = Mapping[str, Mapping[str, Array]]


@dataclasses.dataclass(frozen=True, slots=True)
class _Stacked:
    """A transformer's stacked parameters.

    Attributes:
        scope: Scope of the transformer.
        arrays: Arrays (blocks, layers of a block, ...) by "layer/parameter" name.
    """

    scope: str
    arrays: dict[str, Array]


def _find_stacked(parameters: Parameters) -> _Stacked | None:
    """The diffusion transformer's parameters; None where it, or part of it, is missing."""
    arrays: dict[str, Array] = {}
    scope = None
    for name, named in parameters.items():
        outer, found, layer = name.partition(_LAYERS)
        if found:
            scope = outer + _TRANSFORMER
            arrays |= {f"{layer}/{kind}": array for kind, array in named.items()}
    needed = [f"{layer}/weights" for layers in LARGE_PRODUCTS.values() for layer in layers]
    if scope is None or not arrays.keys() >= set(needed):
        return None
    return _Stacked(scope, arrays)


@dataclasses.dataclass(frozen=True, slots=True)
class JoinedOperand:
    """Stacked weights of several layers of a transformer, to be put side by side.

    Attributes:
        scope: Scope of the transformer.
        product: Which of `LARGE_PRODUCTS`.
        parts: numpy arrays (layers, inputs, outputs) of one dtype.
    """

    scope: str
    product: str
    parts: Sequence[np.ndarray]

    @property
    def shape(self) -> tuple[int, ...]:
        """(layers, inputs, outputs of all parts)."""
        return _joined_shape(self.parts)

    @property
    def dtype(self) -> np.dtype[np.generic]:
        """Type of the parts, and of what is made of them."""
        return self.parts[0].dtype

    def by_layer(self) -> Iterator[np.ndarray]:
        """Yields each layer's operand (inputs, outputs), valid until the next is asked for."""
        memory = np.empty(self.shape[1:], self.dtype)
        for layers in zip(*self.parts, strict=True):
            yield np.concatenate(layers, axis=-1, out=memory)


def operands_to_join(parameters: Parameters) -> list[JoinedOperand]:
    """What `with_separate_layers` would have to copy, given numpy arrays by scope and name."""
    stacked = _find_stacked(parameters)
    if stacked is None:
        return []
    operands = [
        JoinedOperand(stacked.scope, product, _operands(stacked.arrays, layers))
        for product, layers in LARGE_PRODUCTS.items()
        if len(layers) > 1
    ]
    return [one for one in operands if all(part.dtype == one.dtype for part in one.parts)]


def with_separate_layers(parameters: Parameters, joined: Parameters | None = None) -> Parameters:
    """Adds the large weights of the diffusion transformer layer by layer.

    Args:
        parameters: Arrays, or their shapes and dtypes, by scope and name.
        joined: numpy arrays of what `operands_to_join` lists, by scope and product, as
            far as they exist already.

    Returns:
        The parameters with one scope more a layer, which `separate_layers` finds; as
        they are if they lack a transformer, or part of one. Separate arrays lie where
        the stacked ones do, and only what is to be joined, and is not yet, is copied.
    """
    import jax

    stacked = _find_stacked(parameters)
    if stacked is None:
        return parameters
    scope = stacked.scope
    some = next(iter(stacked.arrays.values()))
    if isinstance(some, jax.ShapeDtypeStruct):
        layers = jax.eval_shape(split_layers, stacked.arrays)
    else:
        on_host = {name: np.asarray(array) for name, array in stacked.arrays.items()}
        split = split_layers(on_host, _side_by_side_on_host, (joined or {}).get(scope))
        layers = jax.device_put(split, some.sharding)
    return {**parameters, **{_scope(scope, number): one for number, one in enumerate(layers)}}


def _side_by_side(parts: Sequence[Array]) -> Array:
    import jax.numpy as jnp

    return jnp.concatenate(parts, axis=-1)


def split_layers(
    stacked: Mapping[str, Array],
    side_by_side: Callable[[Sequence[Array]], Array] = _side_by_side,
    joined: Mapping[str, Array] | None = None,
) -> list[Mapping[str, Array]]:
    """Takes the weights of `LARGE_PRODUCTS` apart.

    Args:
        stacked: Arrays (blocks, layers of a block, ...) by "layer/parameter" name.
        side_by_side: Joins arrays along their last axis; the default is for JAX to trace.
        joined: Operands (layers, inputs, outputs) by product, where there are some.

    Returns:
        For each layer the operands (inputs, outputs) by product.
    """
    parts = {}
    for product, layers in LARGE_PRODUCTS.items():
        operands = _operands(stacked, layers)
        if joined and product in joined:
            parts[product] = joined[product]
        else:
            parts[product] = operands[0] if len(operands) == 1 else side_by_side(operands)
    number = min(map(len, parts.values()))
    return [{product: array[layer] for product, array in parts.items()} for layer in range(number)]


def _operands(stacked: Mapping[str, Array], layers: Sequence[str]) -> list[Array]:
    """The layers' weights as (layers, inputs, outputs)."""
    weights = [layers_first(stacked[f"{layer}/weights"]) for layer in layers]
    return [one.reshape((*one.shape[:2], -1)) for one in weights]


def separate_layers(scope: str, number: int) -> list[Mapping[str, Array]] | None:
    """The separate operands of a transformer while a haiku function is traced.

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


def layers_first(stacked: Array) -> Array:
    """(blocks, layers of a block, ...) as (layers, ...)."""
    blocks, layers_of_a_block, *shape = stacked.shape
    return stacked.reshape((blocks * layers_of_a_block, *shape))


def _side_by_side_on_host(parts: Sequence[Array]) -> Array:
    """Joins numpy arrays in new memory that JAX can use where it lies."""
    memory = aligned_empty(_joined_shape(parts), parts[0].dtype)
    return np.concatenate(parts, axis=-1, out=memory)


def _joined_shape(parts: Sequence[np.ndarray]) -> tuple[int, ...]:
    return (*parts[0].shape[:-1], sum(part.shape[-1] for part in parts))
