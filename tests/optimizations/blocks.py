"""Blocks of the model with random weights, as the engine builds them."""

import jax
import jax.numpy as jnp
import numpy as np

from af3opt.engine.modules import engine_module
from af3opt.engine.patching import PatchSet


def rms(values):
    """Root mean square of numbers."""
    return float(np.sqrt(np.mean(np.square(values))))


def with_patch(optimization, context, function, *args):
    """Calls a function while an optimisation that fits the engine is in force."""
    assert optimization.obstacle() is None
    with PatchSet([optimization], context):
        return function(*args)


def random_weights(shapes, seed=0):
    """Weights of these shapes that keep activations near unit size."""
    random = np.random.default_rng(seed)

    def draw(path, leaf):
        name = path[-1].key
        if name == "scale":
            values = 1 + 0.1 * random.standard_normal(leaf.shape)
        else:
            # Projections onto heads keep heads and channels apart; stacks have leading axes.
            fan_in = max(leaf.shape[-3:]) if len(leaf.shape) > 1 else 100
            values = random.standard_normal(leaf.shape) / np.sqrt(fan_in)
        return jnp.asarray(values, leaf.dtype)

    return jax.tree_util.tree_map_with_path(draw, shapes)


def engine_config(bfloat16="none"):
    """The engine's default configuration with XLA attention and this `bfloat16`."""
    config = engine_module("model.model").Model.Config()
    config.global_config.flash_attention_implementation = "xla"
    config.global_config.bfloat16 = bfloat16
    return config


def run_block(function, *arguments):
    """Runs a function of haiku modules with random weights; returns numpy arrays.

    The weights do not depend on how the modules compute.
    """
    import haiku as hk

    transformed = hk.transform(function)
    key = jax.random.PRNGKey(0)
    weights = random_weights(jax.eval_shape(transformed.init, key, *arguments))
    result = jax.jit(transformed.apply)(weights, key, *arguments)
    return [np.asarray(leaf, np.float64) for leaf in jax.tree.leaves(result)]


def pair_inputs(tokens, real, channels, dtype="float32"):
    """Random pair activations (tokens, tokens, channels) and the mask of real pairs."""
    random = np.random.default_rng(1)
    pair = jnp.asarray(random.standard_normal((tokens, tokens, channels)), dtype)
    single = np.zeros(tokens)
    single[:real] = 1
    return pair, jnp.asarray(single[:, None] * single[None, :], dtype)


def pairformer(config, tokens, real, dtype="float32"):
    """Two trunk blocks with the single track; results of the real tokens."""
    import haiku as hk

    modules = engine_module("model.network.modules")
    utils = engine_module("model.components.utils")
    pair, mask = pair_inputs(tokens, real, 128, dtype)
    single = jnp.asarray(np.random.default_rng(2).standard_normal((tokens, 384)), dtype)

    def run(pair, single):
        def block(state):
            return modules.PairFormerIteration(
                config.evoformer.pairformer, config.global_config, with_single=True, name="block"
            )(act=state[0], single_act=state[1], pair_mask=mask, seq_mask=mask[0])

        with utils.bfloat16_context():
            return hk.experimental.layer_stack(2)(block)((pair, single))

    pair, single = run_block(run, pair, single)
    return np.concatenate([pair[:real, :real].ravel(), single[:real].ravel()])


def template_stack(config, tokens, real, dtype="float32"):
    """Two blocks of the template stack (64 channels); the real pairs."""
    import haiku as hk

    modules = engine_module("model.network.modules")
    utils = engine_module("model.components.utils")
    pair, mask = pair_inputs(tokens, real, 64, dtype)

    def run(pair):
        def block(state):
            return modules.PairFormerIteration(
                config.evoformer.template.template_stack, config.global_config, name="block"
            )(act=state, pair_mask=mask)

        with utils.bfloat16_context():
            return hk.experimental.layer_stack(2)(block)(pair)

    (pair,) = run_block(run, pair)
    return pair[:real, :real].ravel()


def msa_stack(config, tokens, real, dtype="float32"):
    """A block of the MSA stack with 5 rows; MSA and real pairs."""
    modules = engine_module("model.network.modules")
    utils = engine_module("model.components.utils")
    pair, mask = pair_inputs(tokens, real, 128, dtype)
    msa = jnp.asarray(np.random.default_rng(3).standard_normal((5, tokens, 64)), dtype)
    rows_mask = jnp.broadcast_to(mask[:1], (5, tokens))

    def run(pair, msa):
        with utils.bfloat16_context():
            return modules.EvoformerIteration(
                config.evoformer.msa_stack, config.global_config, name="block"
            )(activations={"msa": msa, "pair": pair}, masks={"msa": rows_mask, "pair": mask})

    msa, pair = run_block(run, pair, msa)
    return np.concatenate([msa[:, :real].ravel(), pair[:real, :real].ravel()])


def diffusion_transformer(dtype="float32", num_blocks=8, tokens=12, real=10, samples=2):
    """Blocks of the sampler's transformer over two samples; the real tokens."""
    import haiku as hk

    config = engine_config("all" if dtype == "bfloat16" else "none")
    config.heads.diffusion.transformer.num_blocks = num_blocks
    network = engine_module("model.network.diffusion_transformer")
    utils = engine_module("model.components.utils")
    random = np.random.default_rng(1)
    act = jnp.asarray(random.standard_normal((samples, tokens, 768)), dtype)
    single_cond = jnp.asarray(random.standard_normal((tokens, 384)), dtype)
    pair_cond, mask = pair_inputs(tokens, real, 128, dtype)

    def run(act, single_cond, pair_cond):
        with utils.bfloat16_context():
            module = network.Transformer(config.heads.diffusion.transformer, config.global_config)

            def one(sample):
                return module(
                    act=sample, mask=mask[0], single_cond=single_cond, pair_cond=pair_cond
                )

            return hk.vmap(one, split_rng=False)(act)

    (result,) = run_block(run, act, single_cond, pair_cond)
    return result[:, :real]
