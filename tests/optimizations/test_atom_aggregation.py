"""The mean over a token's atoms, slot by slot."""

import numpy as np
import pytest

pytest.importorskip("jax")

import jax
import jax.numpy as jnp

from af3opt.data.bootstrap import bootstrap_engine
from af3opt.engine.modules import engine_module
from af3opt.engine.patching import PatchSet
from af3opt.optimizations.atom_aggregation import OPTIMIZATION
from af3opt.optimizations.base import Context

pytestmark = pytest.mark.engine

TOKENS, PLACES, CHANNELS = 7, 24, 16


def inputs(places=PLACES, dtype=jnp.float32, mask_dtype=jnp.bool_):
    random = np.random.default_rng(0)
    mask = random.random((TOKENS, places, 1)) < 0.4
    # A token of padding has no atom.
    mask[-1] = False
    value = random.standard_normal((TOKENS, places, CHANNELS))
    return jnp.asarray(mask, mask_dtype), jnp.asarray(value, dtype)


def reductions(run):
    """How many axes are summed over the places, in the traced program."""
    return str(jax.make_jaxpr(run)()).count(f"f32[{TOKENS},{CHANNELS}] = reduce_sum")


@pytest.fixture
def engines_and_ours(prepared_home):
    """Calls the engine's function as it is, and as it is with the optimisation in force."""
    bootstrap_engine()
    utils = engine_module("model.components.utils")
    original = utils.mask_mean
    assert OPTIMIZATION.obstacle() is None
    with PatchSet([OPTIMIZATION], Context(backend="cpu")):
        yield original, utils.mask_mean
    assert utils.mask_mean is original


@pytest.mark.parametrize("mask_dtype", [jnp.bool_, jnp.float32, jnp.int32])
def test_same_mean(engines_and_ours, mask_dtype):
    theirs, ours = engines_and_ours
    mask, value = inputs(mask_dtype=mask_dtype)
    expected = theirs(mask, value, axis=-2)
    result = ours(mask, value, axis=-2)
    assert result.dtype == expected.dtype
    np.testing.assert_allclose(result, expected, rtol=1e-5, atol=1e-6)
    assert reductions(lambda: theirs(mask, value, axis=-2)) == 1
    assert reductions(lambda: ours(mask, value, axis=-2)) == 0


def test_over_samples(engines_and_ours):
    theirs, ours = engines_and_ours
    mask, value = inputs()
    samples = jnp.stack([value, -2 * value])
    expected = jax.vmap(lambda one: theirs(mask, one, axis=-2))(samples)
    result = jax.vmap(lambda one: ours(mask, one, axis=-2))(samples)
    np.testing.assert_allclose(result, expected, rtol=1e-5, atol=1e-6)


def other_means():
    mask, value = inputs()
    long_mask, long_value = inputs(places=64)
    _, half = inputs(dtype=jnp.bfloat16)
    return {
        "another axis": ((mask, value), {"axis": 0}),
        "two axes": ((mask, value), {"axis": (-2, -3), "keepdims": True}),
        "kept axis": ((mask, value), {"axis": -2, "keepdims": True}),
        "all": ((mask, value), {}),
        "one mask for all places": ((mask[:, :1], value), {"axis": -2}),
        "many places": ((long_mask, long_value), {"axis": -2}),
        "bfloat16": ((mask, half), {"axis": -2}),
        "four axes": ((mask[None], value[None]), {"axis": -2, "eps": 1e-6}),
    }


@pytest.mark.parametrize("case", list(other_means()))
def test_other_means_are_the_engines(engines_and_ours, case):
    theirs, ours = engines_and_ours
    given, options = other_means()[case]
    np.testing.assert_array_equal(ours(*given, **options), theirs(*given, **options))
    text = jax.make_jaxpr(lambda: ours(*given, **options))()
    assert str(text) == str(jax.make_jaxpr(lambda: theirs(*given, **options))())
