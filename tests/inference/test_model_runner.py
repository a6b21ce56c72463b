"""The runner: bit-identical to upstream's own loop, and one executable per shape."""

import dataclasses
import functools

import numpy as np
import pytest

from af3opt.base.errors import SetupError
from af3opt.engine.model import extract_inference_results
from af3opt.engine.modules import engine_module
from af3opt.inference.compile_cache import CompileCache
from af3opt.inference.weights import load_weights

pytestmark = [pytest.mark.engine, pytest.mark.slow]


def upstream_result(model, batch, seed):
    """What `run_alphafold.py` computes, by the library's API alone."""
    import haiku as hk
    import jax
    import jax.numpy as jnp

    params = engine_module("model.params").get_model_haiku_params(model.model_dir)
    engine_model = engine_module("model.model")
    utils = engine_module("model.components.utils")
    forward = hk.transform(lambda batch: engine_model.Model(model.config)(batch))
    apply = functools.partial(jax.jit(forward.apply), params)
    features = jax.tree.map(jnp.asarray, utils.remove_invalidly_typed_feats(batch))
    result = apply(jax.random.PRNGKey(seed), jax.device_put(features, model.device))
    return jax.tree.map(
        lambda x: np.asarray(x.astype(jnp.float32) if x.dtype == jnp.bfloat16 else x), result
    )


def assert_identical(ours, theirs):
    import jax

    ours, theirs = (
        {name: value for name, value in result.items() if name != "__identifier__"}
        for result in (ours, theirs)
    )
    assert jax.tree.structure(ours) == jax.tree.structure(theirs)
    for mine, other in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        assert isinstance(mine, np.ndarray)
        assert mine.dtype == other.dtype
        np.testing.assert_array_equal(mine, other)


def test_bit_identical_to_the_engine(small_model, tiny_batch):
    runner = small_model.runner()
    ours = runner.run_inference(tiny_batch, 7)
    assert_identical(ours, upstream_result(small_model, tiny_batch, 7))
    assert np.isfinite(ours["diffusion_samples"]["atom_positions"]).all()
    assert ours["__identifier__"] == runner.weights.load().identifier
    samples = extract_inference_results(tiny_batch, ours, "tiny")
    assert len(samples) == runner.num_samples
    assert_one_executable_for_all_seeds(runner, tiny_batch)


def test_compiles_while_the_weights_are_still_being_copied(small_model, tiny_batch):
    layout = small_model.weights().load().layout
    # Files need not keep the parameters of a scope together.
    announced = dataclasses.replace(layout, arrays=layout.arrays[::-1])
    weights = small_model.weights(announced=announced)
    runner = small_model.runner(weights=weights)
    runner.compile(tiny_batch)
    assert weights.seconds == 0, "waited for the weights"
    ours = runner.run_inference(tiny_batch, 7)
    assert len(runner.compile_reports) == 1
    assert_identical(ours, upstream_result(small_model, tiny_batch, 7))


def test_weights_that_changed_meanwhile_are_refused(small_model):
    layout = small_model.weights().load().layout
    weights = small_model.weights(announced=dataclasses.replace(layout, sha256="0" * 64))
    with pytest.raises(SetupError, match="changed while they were read"):
        weights.load()


def assert_one_executable_for_all_seeds(runner, batch):
    import jax

    first = runner.compile(batch)
    positions = [
        runner.run_inference(batch, seed)["diffusion_samples"]["atom_positions"]
        for seed in (1, jax.random.PRNGKey(1), 2)
    ]
    np.testing.assert_array_equal(positions[0], positions[1])
    assert not np.array_equal(positions[0], positions[2])
    assert runner.compile(batch) is first


def test_putting_features_on_the_device_compiles_nothing(small_model, tiny_batch, caplog):
    import jax

    runner = small_model.runner()
    runner.compile(tiny_batch)
    key = jax.random.PRNGKey(1)
    with jax.log_compiles(), caplog.at_level("WARNING"):
        runner.run_inference(tiny_batch, key)
    assert [one.getMessage() for one in caplog.records if "Compiling" in one.getMessage()] == []


def test_stored_executable_gives_identical_results(small_model, tiny_batch, tmp_path):
    cache = CompileCache(root=tmp_path, trusted=True)
    first = small_model.runner(cache=cache)
    fresh = first.run_inference(tiny_batch, 5)
    made = first.compile(tiny_batch)
    assert (made.origin, made.seconds_saved) == ("compiled", 0)
    second = small_model.runner(cache=cache)
    loaded = second.compile(tiny_batch)
    assert loaded.origin == "executable store"
    assert loaded.seconds_saved == pytest.approx(made.seconds, abs=0.001)
    assert_identical(second.run_inference(tiny_batch, 5), fresh)


def test_missing_parameter_is_one_line(small_model, tiny_batch, tmp_path):
    """A file that ends between two parameters reads well and must still be noticed."""
    encode_record = engine_module("model.params").encode_record
    whole = load_weights(small_model.model_dir, small_model.device, use_copy=False).params
    scopes = list(whole)
    with (tmp_path / "af3.bin").open("wb") as stream:
        for scope in ["__meta__", *scopes[: len(scopes) // 2]]:
            for name, value in whole[scope].items():
                stream.write(encode_record(scope, name, np.asarray(value)))
    with pytest.raises(SetupError, match="the model parameters lack"):
        small_model.runner(weights=small_model.weights(tmp_path)).run_inference(tiny_batch, 1)
