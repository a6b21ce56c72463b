"""What depends on the noise level alone, once for all samples."""

import types

import numpy as np
import pytest

pytest.importorskip("jax")

import jax
import jax.numpy as jnp

from af3opt.data.bootstrap import bootstrap_engine
from af3opt.engine.modules import engine_module
from af3opt.engine.patching import PatchSet
from af3opt.optimizations.base import Context
from af3opt.optimizations.noise_conditioning import OPTIMIZATION, one_for_all
from tests.optimizations import blocks

SAMPLES, TOKENS, ATOMS = 3, 5, 24


def sampler():
    """Two steps of the engine's sampler with a denoiser that takes a sine of the noise level."""
    import haiku as hk

    module = engine_module("model.network.diffusion_head")
    config = module.SampleConfig(steps=2, num_samples=SAMPLES)
    mask = np.ones((TOKENS, ATOMS), np.float32)
    mask[-1] = 0
    info = types.SimpleNamespace(atom_mask=jnp.asarray(mask))
    batch = types.SimpleNamespace(predicted_structure_info=info)

    def run(key):
        return module.sample(
            denoising_step=lambda positions, level: positions * jnp.sin(level),
            batch=batch,
            key=key,
            config=config,
            global_config=blocks.engine_config().global_config,
        )["atom_positions"]

    key = jax.random.PRNGKey(3)
    function = hk.transform(run).apply
    text = str(jax.make_jaxpr(function)({}, key, key))
    return jax.jit(function)({}, key, key), "f32[] = sin" in text


@pytest.fixture
def patched(prepared_home):
    bootstrap_engine()
    patches = PatchSet([OPTIMIZATION], Context(backend="cpu"))
    yield patches.apply
    patches.undo()


def test_value_of_the_first_place_stands_for_all():
    rows = jnp.arange(12.0).reshape(3, 4)

    def function(row, level):
        return row + jnp.sin(one_for_all(level))

    text = str(jax.make_jaxpr(jax.vmap(function))(rows, jnp.full(3, 2.0)))
    assert "f32[] = sin" in text
    expected = np.asarray(rows) + np.sin(np.float32(2.0))
    mapped = jax.vmap(function)(rows, jnp.full(3, 2.0))
    np.testing.assert_allclose(mapped, expected, rtol=1e-6)
    # A level that is not mapped, and no mapping at all.
    outer = jax.vmap(function, in_axes=(0, None))(rows, 2.0)
    np.testing.assert_allclose(outer, expected, rtol=1e-6)
    np.testing.assert_allclose(function(rows, 2.0), expected, rtol=1e-6)


@pytest.mark.engine
def test_sampler_draws_the_same_and_computes_once(patched):
    reference, once = sampler()
    assert once is not OPTIMIZATION.needed()
    if once:
        pytest.skip("this engine does it itself")
    assert OPTIMIZATION.obstacle() is None
    patched()
    ours, once = sampler()
    assert once
    assert np.abs(ours - reference).max() < 1e-5 * np.abs(reference).max()
