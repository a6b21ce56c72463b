"""The atom transformer with keys computed once an atom, not once a window.

Each subset of 32 atoms attends to a window of 128, so an atom is in four windows. The
engine gathers the windows first and normalises and projects every copy; norms and
projections work atom by atom, so they can come before the gather. What depends on the
conditioning alone is computed for all layers at once, outside the sampling loop.
"""

import dataclasses
from collections.abc import Mapping

from af3opt.base.fidelity import PRECISION, REORDERED
from af3opt.engine.known_functions import known
from af3opt.engine.protocols import Argument, Array, EngineFunction, GatherInfo, Module, Tree
from af3opt.optimizations.base import BFLOAT16, FLOAT32, Context, Optimization
from af3opt.optimizations.conditioning import (
    CONDITIONED_LAYERS,
    conditioned_transition,
    conditions,
    layer_shapes,
    read_layers,
)
from af3opt.optimizations.haiku_access import STACK, as_module_method, is_alphafold3

_TRANSFORMER = "model.network.diffusion_transformer"
_ATOMS = "model.network.atom_cross_attention"
_TARGET = known(_TRANSFORMER, "CrossAttTransformer.__call__")
# They gather the keys' conditioning from the queries'.
ATOM_CALLERS = (
    known(_ATOMS, "atom_cross_att_encoder"),
    known(_ATOMS, "atom_cross_att_decoder"),
)
# The layers that are written out here, and the callers.
_RELIES_ON = (known(_TRANSFORMER, "cross_attention"), *CONDITIONED_LAYERS, *ATOM_CALLERS)
_MASKED = 1e9
_SAMPLER = "diffusion_head"
_OPTIONAL = ("pair_mask", "rope_q", "rope_k")
_NORMS = ("q", "k", "ffw_")
_GATES = ("", "ffw_")


def _replace(original: EngineFunction, context: Context) -> EngineFunction:
    def transform(module: Module, *args: Argument, **kwargs: Argument) -> Array:
        import haiku as hk

        plain = not args and all(kwargs.get(name) is None for name in _OPTIONAL)
        if not plain or not is_alphafold3(module) or hk.running_init():
            return original(module, *args, **kwargs)
        for name in _OPTIONAL:
            kwargs.pop(name, None)
        # The engine's stack of layers takes two keys: what is drawn later must not change.
        for _ in range(2):
            hk.maybe_next_rng_key()
        # The trunk's atoms pass through the same layers once a run.
        of_sampler = context.diffusion_precision == BFLOAT16 and _SAMPLER in module.module_name
        return _transformer(module, BFLOAT16 if of_sampler else FLOAT32, _Atoms(**kwargs))

    return as_module_method("__call__", transform)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Atoms:
    """What the engine calls its transformer with, by the engine's names.

    Attributes:
        queries_act: (subsets, 32, channels) of one sample.
        queries_mask: (subsets, 32), 1 where an atom is.
        queries_to_keys: Where in the flat queries each key is, (subsets, 128).
        keys_mask: (subsets, 128).
        queries_single_cond: (subsets, 32, channels).
        keys_single_cond: The same, gathered; not needed.
        pair_cond: (subsets, 32, 128, pair channels).
    """

    queries_act: Array
    queries_mask: Array
    queries_to_keys: GatherInfo
    keys_mask: Array
    queries_single_cond: Array
    keys_single_cond: Array
    pair_cond: Array


def _transformer(module: Module, precision: str, atoms: _Atoms) -> Array:
    """Atom transformer (supplement of AlphaFold 3, algorithms 7, 23 to 26).

    Args:
        module: The engine's CrossAttTransformer.
        precision: Operands of the layers' products: "float32" or "bfloat16".
        atoms: The atoms of one sample.

    Returns:
        The new activations, shape and type of `atoms.queries_act`.
    """
    import jax.numpy as jnp
    from jax import lax

    from af3opt.optimizations.arithmetic import operand_terms, split_product

    shape = atoms.queries_act.shape
    heads = module.config.attention.num_head
    parameters = _parameters(module, shape[-1], heads)
    logits_bias = _logits_bias(module, atoms.pair_cond, atoms.queries_mask, atoms.keys_mask)
    cond = jnp.reshape(atoms.queries_single_cond, (-1, shape[-1]))
    weights = {
        name: parameters[f"{name}/weights"]
        for name in ("transition2", "ffw_transition1", "ffw_transition2")
    }
    weights |= {"queries": _merged(parameters, ("q_projection", "gating_query"))}
    weights |= {"keys": _merged(parameters, ("k_projection", "v_projection"))}
    operands = {name: operand_terms(weight, precision) for name, weight in weights.items()}
    operands |= {"query_bias": parameters["q_projection/bias"]}
    from_cond = conditions(cond, parameters, _NORMS, _GATES)

    def layer(state: Array, inputs: Tree) -> tuple[Array, None]:
        weights, condition, bias = inputs

        def multiply(rows: Array, name: str) -> Array:
            return split_product(rows, weights[name])

        state = state + _attend(state, condition, bias, weights, atoms.queries_to_keys, heads)
        return state + conditioned_transition(state, condition, multiply), None

    state = jnp.reshape(atoms.queries_act, (-1, shape[-1])).astype(jnp.float32)
    state, _ = lax.scan(layer, state, (operands, from_cond, logits_bias))
    return jnp.reshape(state, shape).astype(atoms.queries_act.dtype)


def _parameters(module: Module, channels: int, heads: int) -> dict[str, Array]:
    """All layers' parameters, (layers, ...) each, by "layer/parameter" name."""
    import haiku as hk

    hidden = channels * module.config.num_intermediate_factor
    shapes = layer_shapes(_NORMS, _GATES, channels, channels, heads, hidden)
    with hk.name_scope(STACK):
        return read_layers(module, shapes, (module.config.num_blocks,))


def _merged(parameters: dict[str, Array], names: tuple[str, ...]) -> Array:
    """Weights of layers with the same input side by side, (layers, inputs, all outputs)."""
    import jax.numpy as jnp

    flat = (parameters[f"{name}/weights"] for name in names)
    return jnp.concatenate([jnp.reshape(one, (*one.shape[:2], -1)) for one in flat], axis=-1)


def _logits_bias(module: Module, pair_cond: Array, queries_mask: Array, keys_mask: Array) -> Array:
    """What is added to all layers' logits: (layers, heads, subsets, queries, keys)."""
    import haiku as hk
    import jax.numpy as jnp

    from af3opt.optimizations.arithmetic import standardise

    channels = pair_cond.shape[-1]
    layers, heads = module.config.num_blocks, module.config.attention.num_head
    with hk.name_scope("pair_input_layer_norm"):
        scale = hk.get_parameter("scale", (channels,), jnp.float32, init=jnp.ones)
    with hk.name_scope("pair_logits_projection"):
        size = (channels, layers, heads)
        weights = hk.get_parameter("weights", size, jnp.float32, init=jnp.zeros)
    logits = jnp.einsum("sqkc,clh->lhsqk", standardise(pair_cond) * scale, weights)
    # As the engine has it: only pairs of which neither is an atom are set apart.
    bias = _MASKED * (queries_mask - 1.0)[:, :, None] * (keys_mask - 1.0)[:, None, :]
    return logits + bias.astype(jnp.float32)


def _attend(
    state: Array,
    condition: Mapping[str, Array],
    logits_bias: Array,
    weights: Mapping[str, tuple[Array, ...]],
    queries_to_keys: GatherInfo,
    heads: int,
) -> Array:
    """Attention of each subset to its window (algorithm 24)."""
    import jax
    import jax.numpy as jnp

    from af3opt.optimizations.arithmetic import sigmoid, split_product, standardise

    atoms, channels = state.shape
    subsets = queries_to_keys.gather_idxs.shape[0]
    normed = standardise(state)
    queries = condition["qscale"] * normed + condition["qbias"]
    from_queries = split_product(queries, weights["queries"])
    query, gate = jnp.split(from_queries, 2, axis=-1)
    query = jnp.reshape(query, (subsets, -1, heads, channels // heads)) + weights["query_bias"]
    query = jnp.transpose(query, (2, 0, 1, 3)) * (channels // heads) ** -0.5

    keys = condition["kscale"] * normed + condition["kbias"]
    from_keys = split_product(keys, weights["keys"])
    from_keys = jnp.reshape(from_keys, (atoms, 2, heads, channels // heads))
    windows = jnp.transpose(from_keys, (1, 2, 0, 3))[:, :, queries_to_keys.gather_idxs]
    # A place in a window without an atom has a key and a value of zero.
    key, value = windows * queries_to_keys.gather_mask[:, :, None].astype(jnp.float32)

    logits = jnp.einsum("hsqc,hskc->hsqk", query, key) + logits_bias
    average = jnp.einsum("hsqk,hskc->hsqc", jax.nn.softmax(logits, axis=-1), value)
    average = jnp.reshape(jnp.transpose(average, (1, 2, 0, 3)), state.shape)
    return condition["gate"] * split_product(average * sigmoid(gate), weights["transition2"])


LAYERS = Optimization(
    name="atom_transformer",
    fidelity=REORDERED,
    summary="Keys of the atom attention are computed once an atom, not once a window.",
    replacements=((_TARGET, _replace),),
    relies_on=_RELIES_ON,
    wanted=lambda context: context.diffusion_precision != BFLOAT16,
)
PRODUCTS = Optimization(
    name="atom_products",
    fidelity=PRECISION,
    summary="The same, and in the sampler its products run on bfloat16 matrix units.",
    replacements=((_TARGET, _replace),),
    relies_on=_RELIES_ON,
    wanted=lambda context: context.diffusion_precision == BFLOAT16,
)
