"""The confidence head on one sample after the other."""

import numpy as np
import pytest

pytest.importorskip("jax")

import jax
import jax.numpy as jnp

from af3opt.data.bootstrap import bootstrap_engine
from af3opt.engine.modules import engine_module
from af3opt.optimizations.base import Context
from af3opt.optimizations.confidence_samples import OPTIMIZATION
from tests.optimizations import blocks

pytestmark = pytest.mark.engine

SAMPLES, ROWS, CHANNELS = 3, 6, 8


@pytest.fixture(autouse=True)
def engine(prepared_home):
    bootstrap_engine()


def mapped(shapes_seen=None, **options):
    """A layer with sliced rows, mapped over samples as the engine maps the confidence head."""
    import haiku as hk

    def layer(sample):
        if shapes_seen is not None:
            shapes_seen.append(sample.shape)
        rows = jax.lax.dynamic_slice_in_dim(
            sample, hk.get_parameter("at", (), jnp.int32, jnp.ones), 2
        )
        return {"rows": hk.Linear(4)(rows), "sum": jnp.sum(sample)}

    mapping = engine_module("model.components.mapping")
    return mapping.sharded_map(layer, **options)


def samples():
    random = np.random.default_rng(4)
    return jnp.asarray(random.standard_normal((SAMPLES, ROWS, CHANNELS)), jnp.float32)


def result_and_text(**options):
    import haiku as hk

    transformed = hk.transform(lambda values: mapped(**options)(values))
    key = jax.random.PRNGKey(0)
    weights = transformed.init(key, samples())
    text = str(jax.make_jaxpr(transformed.apply)(weights, key, samples()))
    return transformed.apply(weights, key, samples()), text


def with_patch(function):
    return blocks.with_patch(OPTIMIZATION, Context(backend="cpu"), function)


def test_same_results_in_the_same_places_without_gathers():
    reference, engine_text = result_and_text()
    result, text = with_patch(result_and_text)
    assert jax.tree.structure(result) == jax.tree.structure(reference)
    for mine, theirs in zip(jax.tree.leaves(result), jax.tree.leaves(reference), strict=True):
        assert (mine.shape, mine.dtype) == (theirs.shape, theirs.dtype)
        np.testing.assert_allclose(mine, theirs, rtol=1e-6, atol=1e-6)
    assert result["rows"].shape == (SAMPLES, 2, 4)
    assert "gather" in engine_text
    assert "gather" not in text


@pytest.mark.parametrize(
    "options", [{"shard_size": 2}, {"shard_size": None}, {"out_axes": {"rows": 1, "sum": 0}}]
)
def test_other_maps_are_the_engines(options):
    _, engine_text = result_and_text(**options)
    _, text = with_patch(lambda: result_and_text(**options))
    assert text == engine_text


def test_head_is_traced_once():
    import haiku as hk

    def traces():
        seen = []
        transformed = hk.transform(lambda values: mapped(seen)(values))
        key = jax.random.PRNGKey(0)
        weights = transformed.init(key, samples())
        seen.clear()
        jax.make_jaxpr(transformed.apply)(weights, key, samples())
        return seen

    assert len(traces()) > 1
    assert with_patch(traces) == [(ROWS, CHANNELS)]
