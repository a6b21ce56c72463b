"""Equal templates embedded once.

The model has four template slots; those without a template are equal to each other,
and so are all four where there is none. Older engines embed each slot, in
every pass of the trunk. Here neighbours that are equal are embedded once and added
as often as they occur, in the engine's order. How many differ is found at run time:
one program does for all inputs of a padded size.
"""

from af3opt.base.fidelity import REORDERED
from af3opt.engine.known_functions import FORK_3_1_18, OLDER, known
from af3opt.engine.modules import engine_module
from af3opt.engine.protocols import Argument, Array, EngineFunction, Module, Tree
from af3opt.optimizations.base import Context, Optimization
from af3opt.optimizations.haiku_access import as_module_method, is_alphafold3

_MODULE = "model.network.template_modules"
_TARGET = known(_MODULE, "TemplateEmbedding.__call__", *OLDER)
_RELIES_ON = (known(_MODULE, "SingleTemplateEmbedding.__call__"),)
# It compares each slot with the one before.
_SHARING = known(_MODULE, "TemplateEmbedding.__call__", FORK_3_1_18)


def _replace(original: EngineFunction, context: Context) -> EngineFunction:
    del context

    def embed(module: Module, *args: Argument, **kwargs: Argument) -> Array:
        import haiku as hk

        plain = not args and not kwargs.get("use_dropout") and is_alphafold3(module)
        if not plain or hk.running_init():
            return original(module, *args, **kwargs)
        kwargs.pop("use_dropout", None)
        return _embedding(module, **kwargs)

    return as_module_method("__call__", embed)


def _embedding(
    module: Module,
    *,
    query_embedding: Array,
    templates: Tree,
    padding_mask_2d: Array,
    multichain_mask_2d: Array,
    key: Array,
) -> Array:
    """Template embedding (supplement of AlphaFold 3, algorithm 16).

    Args:
        module: The engine's TemplateEmbedding.
        query_embedding: (tokens, tokens, pair channels).
        templates: The engine's Templates: arrays whose first axis is the slot.
        padding_mask_2d: (tokens, tokens).
        multichain_mask_2d: (tokens, tokens), 1 within a chain.
        key: Random key, for dropout alone.

    Returns:
        The update of the pair activations, shape and type of `query_embedding`.
    """
    import haiku as hk
    import jax
    import jax.numpy as jnp

    config = module.config
    engine = engine_module(_MODULE)
    embedder = engine.SingleTemplateEmbedding(config, module.global_config)
    group = _groups(templates)
    slots = group.shape[0]

    def add_group(index: Array, total: Array) -> Array:
        members = group == index
        first = jnp.argmax(members)
        template = jax.tree.map(lambda values: values[first], templates)
        # The engine's stack of layers takes keys; within the loop they are drawn elsewhere.
        with hk.with_rng(key):
            embedding = embedder(
                query_embedding, template, padding_mask_2d, multichain_mask_2d, key
            )
        return jax.lax.fori_loop(0, members.sum(), lambda _, sum_: sum_ + embedding, total)

    shape = (*query_embedding.shape[:2], config.num_channels)
    total = hk.fori_loop(0, group[-1] + 1, add_group, jnp.zeros(shape, query_embedding.dtype))
    # Two keys a slot in the engine: what is drawn later must not change.
    for _ in range(2 * slots if config.template_stack.num_layer else 0):
        hk.maybe_next_rng_key()
    mean = jax.nn.relu(total / (1e-7 + slots))
    linear = engine_module("model.components.haiku_modules").Linear
    return linear(query_embedding.shape[-1], initializer="relu", name="output_linear")(mean)


def _groups(templates: Tree) -> Array:
    """Numbers the groups of equal neighbours among the slots: (slots,) int32 from 0."""
    import jax
    import jax.numpy as jnp

    def changes(values: Array) -> Array:
        return jnp.any(values[1:] != values[:-1], axis=tuple(range(1, values.ndim)))

    changed = jnp.stack([changes(values) for values in jax.tree.leaves(templates)]).any(axis=0)
    return jnp.concatenate([jnp.zeros(1, jnp.int32), jnp.cumsum(changed, dtype=jnp.int32)])


OPTIMIZATION = Optimization(
    name="template_slots",
    fidelity=REORDERED,
    summary="Equal template slots, such as empty ones, are embedded once.",
    replacements=((_TARGET, _replace),),
    relies_on=_RELIES_ON,
    backends=frozenset({"cpu", "gpu", "mps"}),
    built_in=_SHARING,
)
