"""The atom transformer with keys computed once an atom."""

import functools

import numpy as np
import pytest

pytest.importorskip("jax")

import jax.numpy as jnp

from af3opt.data.bootstrap import bootstrap_engine
from af3opt.engine.modules import engine_module
from af3opt.optimizations.atom_transformer import LAYERS, PRODUCTS
from af3opt.optimizations.base import BFLOAT16, FLOAT32, SPLIT, Context
from tests.optimizations import blocks
from tests.optimizations.blocks import with_patch

SUBSETS, QUERIES, KEYS, CHANNELS = 6, 32, 128, 128


def windows(atoms):
    """The engine's windows: centred on the subset, moved to lie within the atoms."""
    starts = np.arange(SUBSETS) * QUERIES + QUERIES // 2 - KEYS // 2
    indices = np.clip(starts, 0, max(atoms - KEYS, 0))[:, None] + np.arange(KEYS)
    mask = indices < atoms
    return np.where(mask, indices, 0), mask


def transformer(atoms, samples=2, scope="diffusion_head"):
    """Three blocks over two samples: the real atoms, and the next random key."""
    import haiku as hk

    config = blocks.engine_config().heads.diffusion.atom_transformer
    network = engine_module("model.network.diffusion_transformer")
    layout = engine_module("model.atom_layout.atom_layout")
    random = np.random.default_rng(2)
    indices, kept = windows(atoms)
    to_keys = layout.GatherInfo(
        gather_idxs=jnp.asarray(indices),
        gather_mask=jnp.asarray(kept),
        input_shape=jnp.array([SUBSETS, QUERIES]),
    )
    mask = jnp.asarray(np.arange(SUBSETS * QUERIES) < atoms, jnp.float32)
    mask = jnp.reshape(mask, (SUBSETS, QUERIES))
    sizes = (
        (samples, SUBSETS, QUERIES, CHANNELS),
        (SUBSETS, QUERIES, CHANNELS),
        (SUBSETS, QUERIES, KEYS, 16),
    )
    act, cond, pair_cond = (jnp.asarray(random.standard_normal(s), jnp.float32) for s in sizes)

    def gather(values, axes):
        return layout.convert(to_keys, values, layout_axes=axes)

    def run(act, cond, pair_cond):
        with hk.name_scope(scope):
            module = network.CrossAttTransformer(config, blocks.engine_config().global_config)
        result = hk.vmap(
            lambda one: module(
                queries_act=one,
                queries_mask=mask,
                queries_to_keys=to_keys,
                keys_mask=gather(mask, (-2, -1)),
                queries_single_cond=cond,
                keys_single_cond=gather(cond, (-3, -2)),
                pair_cond=pair_cond,
            ),
            split_rng=False,
        )(act)
        # What the model draws afterwards.
        return result, hk.next_rng_key()

    arguments = (act * mask[..., None], cond * mask[..., None], pair_cond)
    result, key = blocks.run_block(run, *arguments)
    return np.asarray(result).reshape(samples, -1, CHANNELS)[:, :atoms], key


def transformer_with(optimization, precision, *args, **kwargs):
    context = Context(backend="cpu", diffusion_precision=precision)
    return with_patch(optimization, context, functools.partial(transformer, *args, **kwargs))


@pytest.mark.engine
@pytest.mark.parametrize("atoms", [SUBSETS * QUERIES, 170, 130, 40])
def test_equals_the_engine_but_for_rounding(prepared_home, atoms):
    bootstrap_engine()
    reference, key = transformer(atoms)
    ours, our_key = transformer_with(LAYERS, FLOAT32, atoms)
    np.testing.assert_array_equal(our_key, key)
    assert not np.array_equal(ours, reference)
    spread = float(np.sqrt(np.mean(np.square(reference))))
    assert float(np.abs(ours - reference).max()) < 1e-4 * spread


@pytest.mark.engine
def test_bfloat16_products_in_the_sampler_alone(prepared_home):
    bootstrap_engine()
    reference, key = transformer(170)
    ours, our_key = transformer_with(PRODUCTS, BFLOAT16, 170)
    np.testing.assert_array_equal(our_key, key)
    apart = np.sqrt(np.mean(np.square(ours - reference)) / np.mean(np.square(reference)))
    # Three layers that each round their operands to 8 bits.
    assert 1e-4 < apart < 1e-2
    trunk, _ = transformer_with(LAYERS, FLOAT32, 170, scope="evoformer")
    trunk_beside, _ = transformer_with(PRODUCTS, BFLOAT16, 170, scope="evoformer")
    np.testing.assert_array_equal(trunk_beside, trunk)


@pytest.mark.parametrize("precision", [FLOAT32, SPLIT, BFLOAT16])
def test_one_of_the_two_is_wanted(precision):
    context = Context(backend="cpu", diffusion_precision=precision)
    assert PRODUCTS.wanted(context) == (precision == BFLOAT16)
    assert LAYERS.wanted(context) != PRODUCTS.wanted(context)
