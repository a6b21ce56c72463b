"""The diffusion transformer as one loop, in float32 and on bfloat16 matrix units."""

import numpy as np
import pytest

pytest.importorskip("jax")

import jax.numpy as jnp

from af3opt.data.bootstrap import bootstrap_engine
from af3opt.optimizations.arithmetic import bfloat16_terms, split_product
from af3opt.optimizations.base import BFLOAT16, FLOAT32, SPLIT, Context
from af3opt.optimizations.diffusion_transformer import LAYERS, PRODUCTS
from tests.optimizations import blocks
from tests.optimizations.blocks import rms, with_patch


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


@pytest.mark.engine
@pytest.mark.parametrize(
    ("optimization", "precision", "bound"),
    [(LAYERS, FLOAT32, 2e-6), (PRODUCTS, SPLIT, 1e-4), (PRODUCTS, BFLOAT16, 5e-2)],
)
def test_transformer_stays_near_float32(prepared_home, optimization, precision, bound):
    bootstrap_engine()
    reference = blocks.diffusion_transformer()
    context = Context(backend="cpu", diffusion_precision=precision)
    ours = with_patch(optimization, context, blocks.diffusion_transformer)
    assert not np.array_equal(ours, reference)
    assert rms(ours - reference) < bound * rms(reference)


@pytest.mark.parametrize("precision", [FLOAT32, SPLIT, BFLOAT16])
def test_one_of_the_two_is_wanted(precision):
    context = Context(backend="cpu", diffusion_precision=precision)
    assert LAYERS.wanted(context) == (precision == FLOAT32)
    assert PRODUCTS.wanted(context) != LAYERS.wanted(context)
