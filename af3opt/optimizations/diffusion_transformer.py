"""The diffusion transformer with weights read in place and large products of any precision.

The sampler spends nearly all its time in seven matrix products a layer. The engine
stacks its layers in blocks of four and projects the pair representation for each block:
XLA then copies a layer's weights twice, first out of all blocks and then out of one, and
repeats the projection in every step. Here each layer has weights of its own (see
`separate_layers`), what reads the same rows is one product, and the projection comes
before the layers and so leaves the sampler. The layers are one loop, which compiles
sooner than 24 copies of a layer, and a product in it is one of 24, each of which reads
the weights of its layer where they lie.

Processors with AMX multiply bfloat16 several times faster than float32, so there a
float32 operand is carried as the sum of two bfloat16 values, 16 bits of precision in
all, and the three products that matter are added in float32.
"""

import functools
from collections.abc import Callable, Mapping

from af3opt.base.fidelity import PRECISION, REORDERED
from af3opt.engine.known_functions import known
from af3opt.engine.protocols import Argument, Array, EngineFunction, Module, Tree
from af3opt.optimizations.base import BFLOAT16, FLOAT32, Context, Optimization
from af3opt.optimizations.conditioning import (
    CONDITIONED_LAYERS,
    conditioned_transition,
    conditions,
    layer_shapes,
    read_layers,
)
from af3opt.optimizations.haiku_access import STACK, as_module_method, is_alphafold3
from af3opt.optimizations.separate_layers import (
    LARGE_PRODUCTS,
    layers_first,
    separate_layers,
    split_layers,
)

_MODULE = "model.network.diffusion_transformer"
_TARGET = known(_MODULE, "Transformer.__call__")
SELF_ATTENTION = known(_MODULE, "self_attention")
# The layers that are written out here.
_RELIES_ON = (SELF_ATTENTION, *CONDITIONED_LAYERS)
_MASKED = 1e9
# Prefixes of the names of a layer's adaptive norms and gates.
_PREFIXES = ("", "ffw_")
# (rows, which of the large products) -> its result for the layer at hand.
_Multiply = Callable[[Array, str], Array]


def _replace(original: EngineFunction, context: Context) -> EngineFunction:
    def transform(module: Module, *args: Argument, **kwargs: Argument) -> Array:
        import haiku as hk

        plain = not args and set(kwargs) <= {
            "act",
            "mask",
            "single_cond",
            "pair_cond",
            "extra_pair_bias",
        }
        plain = plain and kwargs.get("extra_pair_bias") is None
        plain = plain and kwargs.get("pair_cond") is not None and is_alphafold3(module)
        if not plain or hk.running_init():
            return original(module, *args, **kwargs)
        kwargs.pop("extra_pair_bias", None)
        return _transformer(module, precision=context.diffusion_precision, **kwargs)

    return as_module_method("__call__", transform)


def _transformer(
    module: Module, *, act: Array, mask: Array, single_cond: Array, pair_cond: Array, precision: str
) -> Array:
    """Transformer with adaptive norms (supplement of AlphaFold 3, algorithms 23 to 26).

    Args:
        module: The engine's Transformer.
        act: (tokens, channels) of one sample; the engine maps over samples.
        mask: (tokens,), 1 where real.
        single_cond: (tokens, single channels).
        pair_cond: (tokens, tokens, pair channels).
        precision: "float32", "split" or "bfloat16".

    Returns:
        The new activations, shape and type of `act`.
    """
    import haiku as hk
    import jax
    import jax.numpy as jnp
    from jax import lax

    from af3opt.optimizations.arithmetic import operand_terms, product_of_terms, row_terms

    heads = module.config.attention.num_head
    stacked, pair_logits = _read(module, pair_cond)
    scope = hk.experimental.current_name()
    by_layer = separate_layers(scope, module.config.num_blocks) or split_layers(stacked)
    terms = [
        {product: operand_terms(weights[product], precision) for product in LARGE_PRODUCTS}
        for weights in by_layer
    ]
    small = {name: layers_first(stacked[name]) for name in stacked}
    # What is carried as two terms would cost three products: float32 is as fast for these.
    operands = BFLOAT16 if precision == BFLOAT16 else FLOAT32
    from_cond = conditions(single_cond, small, _PREFIXES, _PREFIXES, operands)
    key_bias = (_MASKED * (mask - 1.0))[None, None, :]
    # Traced once, not for each layer.
    traced_product = jax.jit(product_of_terms)

    def layer(state: Array, inputs: Tree) -> tuple[Array, None]:
        number, condition, logits, query_bias = inputs

        def multiply(rows: Array, product: str) -> Array:
            # What depends on the rows alone would be compiled for each layer in there.
            rows = row_terms(rows, terms[0][product])
            by_number = [functools.partial(traced_product, right=one[product]) for one in terms]
            return lax.switch(number, by_number, rows)

        state = state + _attend(state, condition, logits + key_bias, query_bias, multiply, heads)
        return state + conditioned_transition(state, condition, multiply), None

    layers = (jnp.arange(len(terms)), from_cond, pair_logits, small["q_projection/bias"])
    state, _ = lax.scan(layer, act.astype(jnp.float32), layers)
    return state.astype(act.dtype)


def _read(module: Module, pair_cond: Array) -> tuple[dict[str, Array], Array]:
    """Reads the stacked parameters and computes the layers' pair logits.

    Returns:
        The parameters (blocks, layers of a block, ...) by "layer/parameter" name, and the
        logits (layers, heads, tokens, tokens), float32. These depend on neither noise nor
        sample, so XLA moves them out of the sampling loop.
    """
    import haiku as hk
    import jax.numpy as jnp

    from af3opt.optimizations.arithmetic import standardise

    config = module.config
    inner_layers = config.super_block_size
    blocks = config.num_blocks // inner_layers
    channels = pair_cond.shape[-1]
    with hk.name_scope("pair_input_layer_norm"):
        scale = hk.get_parameter("scale", (channels,), jnp.float32, init=jnp.ones)
    # A scope entered twice would get another name.
    with hk.name_scope(STACK):
        with hk.name_scope("pair_logits_projection"):
            shape = (blocks, channels, inner_layers, config.attention.num_head)
            projection = hk.get_parameter("weights", shape, jnp.float32, init=jnp.zeros)
        with hk.name_scope(STACK):
            stacked = read_layers(module, _shapes(module), (blocks, inner_layers))
    pair = standardise(pair_cond) * scale
    return stacked, layers_first(jnp.einsum("ijc,bclh->blhij", pair, projection))


def _shapes(module: Module) -> dict[str, dict[str, tuple[int, ...]]]:
    """Shapes of a layer's parameters, by linear layer or norm and by kind."""
    # Channels of token and single representation, from the published configuration.
    channels, single = 768, 384
    heads = module.config.attention.num_head
    hidden = channels * module.config.num_intermediate_factor
    return layer_shapes(_PREFIXES, _PREFIXES, single, channels, heads, hidden)


def _attend(
    state: Array,
    condition: Mapping[str, Array],
    logits_bias: Array,
    query_bias: Array,
    multiply: _Multiply,
    heads: int,
) -> Array:
    """Attention with pair bias (algorithm 24)."""
    import jax
    import jax.numpy as jnp

    from af3opt.optimizations.arithmetic import sigmoid, standardise

    normed = condition["scale"] * standardise(state) + condition["bias"]
    projected = multiply(normed, "attention_input")
    *projections, gate = jnp.split(projected, 4, axis=-1)
    query, key, value = (jnp.reshape(one, (state.shape[0], heads, -1)) for one in projections)
    query = (query + query_bias) * query.shape[-1] ** -0.5
    # Heads first: XLA:CPU would otherwise walk through each head's rows in strides.
    query, key, value = (jnp.swapaxes(one, 0, 1) for one in (query, key, value))
    logits = jnp.einsum("hqc,hkc->hqk", query, key) + logits_bias
    average = jnp.einsum("hqk,hkc->hqc", jax.nn.softmax(logits, axis=-1), value)
    average = jnp.reshape(jnp.swapaxes(average, 0, 1), state.shape)
    average = average * sigmoid(gate)
    return condition["gate"] * multiply(average, "transition2")


LAYERS = Optimization(
    name="diffusion_layers",
    fidelity=REORDERED,
    summary="The diffusion transformer's layers read weights in place; its pair logits come once.",
    replacements=((_TARGET, _replace),),
    relies_on=_RELIES_ON,
    wanted=lambda context: context.diffusion_precision == FLOAT32,
)
PRODUCTS = Optimization(
    name="diffusion_products",
    fidelity=PRECISION,
    summary="The same, and its large products run on bfloat16 matrix units.",
    replacements=((_TARGET, _replace),),
    relies_on=_RELIES_ON,
    wanted=lambda context: context.diffusion_precision != FLOAT32,
)
