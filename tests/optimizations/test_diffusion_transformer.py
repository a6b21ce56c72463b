"""The diffusion transformer as one loop, in float32 and on bfloat16 matrix units."""

import numpy as np
import pytest

pytest.importorskip("jax")

import jax.numpy as jnp

from af3opt.engine.bootstrap import bootstrap_engine
from af3opt.engine.modules import engine_module
from af3opt.optimizations.arithmetic import bfloat16_terms, split_product
from af3opt.optimizations.base import BFLOAT16, FLOAT32, SPLIT, Context, Patches
from af3opt.optimizations.diffusion_transformer import LAYERS, PRODUCTS
from tests.optimizations import blocks


def rms(values):
    return float(np.sqrt(np.mean(np.square(values))))


@pytest.mark.parametrize(("terms", "bound"), [(1, 4e-3), (2, 2e-5), (3, 3e-7)])
def test_terms_add_up(terms, bound):
    values = jnp.asarray(np.random.default_rng(0).standard_normal(1000), jnp.float32)
    total = sum(np.asarray(term, np.float64) for term in bfloat16_terms(values, terms))
    assert np.abs(total - np.asarray(values)).max() < bound * 4


@pytest.mark.parametrize(("terms", "bound"), [(1, 4e-3), (2, 1e-5)])
def test_split_product_error(terms, bound):
    random = np.random.default_rng(0)
    left = jnp.asarray(random.standard_normal((64, 768)), jnp.float32)
    right = jnp.asarray(random.standard_normal((768, 96)), jnp.float32)
    exact = np.asarray(left, np.float64) @ np.asarray(right, np.float64)
    ours = np.asarray(split_product(left, bfloat16_terms(right, terms)), np.float64)
    assert rms(ours - exact) < bound * rms(exact)


def transformer(tokens=12, real=10, samples=2):
    """Eight blocks over two samples; the real tokens."""
    import haiku as hk

    config = blocks.engine_config()
    config.heads.diffusion.transformer.num_blocks = 8
    network = engine_module("model.network.diffusion_transformer")
    random = np.random.default_rng(1)
    act = jnp.asarray(random.standard_normal((samples, tokens, 768)), jnp.float32)
    single_cond = jnp.asarray(random.standard_normal((tokens, 384)), jnp.float32)
    pair_cond, mask = blocks.pair_inputs(tokens, real, 128)

    def run(act, single_cond, pair_cond):
        module = network.Transformer(config.heads.diffusion.transformer, config.global_config)
        return hk.vmap(
            lambda one: module(act=one, mask=mask[0], single_cond=single_cond, pair_cond=pair_cond),
            split_rng=False,
        )(act)

    (result,) = blocks.run_block(run, act, single_cond, pair_cond)
    return result[:, :real]


@pytest.mark.engine
@pytest.mark.parametrize(
    ("optimization", "precision", "bound"),
    [(LAYERS, FLOAT32, 2e-6), (PRODUCTS, SPLIT, 1e-4), (PRODUCTS, BFLOAT16, 5e-2)],
)
def test_transformer_stays_near_float32(prepared_home, optimization, precision, bound):
    bootstrap_engine()
    assert optimization.obstacle() is None
    reference = transformer()
    patches = Patches()
    patches.apply(optimization, Context(backend="cpu", diffusion_precision=precision))
    try:
        ours = transformer()
    finally:
        patches.revert()
    assert not np.array_equal(ours, reference)
    assert rms(ours - reference) < bound * rms(reference)


@pytest.mark.parametrize("precision", [FLOAT32, SPLIT, BFLOAT16])
def test_one_of_the_two_is_wanted(precision):
    context = Context(backend="cpu", diffusion_precision=precision)
    assert LAYERS.wanted(context) == (precision == FLOAT32)
    assert PRODUCTS.wanted(context) != LAYERS.wanted(context)
