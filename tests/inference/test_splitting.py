"""Samples in chunks: the same draws, merged in order, and recovery from lack of memory."""

import dataclasses

import numpy as np
import pytest

from af3opt.inference import splitting
from af3opt.inference.compiled import ModelCompiler
from af3opt.inference.splitting import (
    DeviceMemoryError,
    is_out_of_memory,
    merge_results,
    smaller_chunk,
    split_batch,
)


@pytest.mark.parametrize(
    ("samples", "chunk", "starts"),
    [
        (5, 5, (0,)),
        (5, 9, (0,)),
        (5, 3, (0, 2)),
        (5, 2, (0, 2, 3)),
        (5, 1, (0, 1, 2, 3, 4)),
        (6, 2, (0, 2, 4)),
        (1, 1, (0,)),
    ],
)
def test_split_batch(samples, chunk, starts):
    assert split_batch(samples, chunk) == starts


@pytest.mark.parametrize("samples", range(1, 8))
def test_merging_restores_the_order(samples):
    pytest.importorskip("jax")
    whole = np.arange(samples * 2).reshape(samples, 2)
    for chunk in range(1, samples + 1):
        parts = np.stack([whole[start : start + chunk] for start in split_batch(samples, chunk)])
        merged = merge_results({"positions": parts}, samples, chunk)
        np.testing.assert_array_equal(merged["positions"], whole)


def test_chunks_shrink_to_one_then_end():
    sizes = [5]
    while (size := smaller_chunk(sizes[-1])) is not None:
        sizes.append(size)
    assert sizes == [5, 3, 2, 1]


def test_lack_of_memory_is_recognised():
    assert is_out_of_memory(RuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 9 bytes"))
    assert is_out_of_memory(MemoryError())
    assert not is_out_of_memory(RuntimeError("INTERNAL: something else"))
    assert not is_out_of_memory(ValueError("RESOURCE_EXHAUSTED"))


def test_draws_of_a_chunk_are_cut_out_of_all_draws():
    jax = pytest.importorskip("jax")

    def sampler(key, samples):
        """Draws as every supported engine does: noise at once, then a key for each."""
        key, noise_key = jax.random.split(key)
        noise = jax.random.normal(noise_key, (samples, 4, 24, 3))
        keys = jax.random.split(key, samples)
        later = jax.vmap(lambda key: jax.random.normal(jax.random.split(key, 3)[0], (4, 3)))(keys)
        return noise, keys, later

    everything = sampler(jax.random.PRNGKey(3), 5)
    for start, chunk in ((0, 3), (2, 3), (4, 1)):
        with splitting._draws_of_chunk(5, chunk, start):
            part = sampler(jax.random.PRNGKey(3), chunk)
        for mine, whole in zip(part, everything, strict=True):
            np.testing.assert_array_equal(mine, whole[start : start + chunk])


def test_a_sampler_that_draws_otherwise_is_refused():
    jax = pytest.importorskip("jax")
    with (
        pytest.raises(splitting.SplitNotPossibleError),
        splitting._draws_of_chunk(5, 1, 0),
    ):
        jax.random.normal(jax.random.PRNGKey(0), (1, 4))


@pytest.mark.engine
@pytest.mark.slow
def test_chunks_give_the_same_samples(small_model, tiny_batch):
    runner = small_model.runner()
    whole = runner.run_inference(tiny_batch, 11)
    split = runner.run_inference(tiny_batch, 11, samples_at_once=2)
    positions = whole["diffusion_samples"]["atom_positions"]
    np.testing.assert_allclose(
        split["diffusion_samples"]["atom_positions"], positions, atol=1e-5 * np.abs(positions).max()
    )
    np.testing.assert_array_equal(
        split["distogram"]["contact_probs"], whole["distogram"]["contact_probs"]
    )
    np.testing.assert_allclose(split["full_pae"], whole["full_pae"], rtol=1e-3)


class _Executable:
    """Fails for lack of memory until few enough samples are asked for."""

    def __init__(self, chunk, fits):
        self._chunk, self._fits = chunk, fits

    def __call__(self, params, key, batch):
        if self._chunk > self._fits:
            raise RuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 123 bytes.")
        import jax.numpy as jnp

        return {"chunk": jnp.asarray(self._chunk)}


@pytest.fixture
def starved(small_model):
    """A runner whose device has room for `fits` samples; counts compilations."""

    def make(fits):
        compiled = []

        class Compiler(ModelCompiler):
            def compile(self, params, batch, samples_at_once):
                compiled.append(samples_at_once)
                report = _Report(num_tokens=8, total_bytes=None)
                return _Compiled(_Executable(samples_at_once, fits), report)

        return small_model.runner(make_compiler=Compiler), compiled

    return make


@dataclasses.dataclass
class _Report:
    num_tokens: int
    total_bytes: int | None
    origin: str = "compiled"
    seconds: float = 0.0


@dataclasses.dataclass
class _Compiled:
    executable: object
    report: _Report


@pytest.mark.engine
def test_runs_on_with_fewer_samples_and_remembers(starved, tiny_batch, caplog):
    runner, compiled = starved(fits=1)
    assert runner.run_inference(tiny_batch, 1)["chunk"] == 1
    assert compiled == [3, 2, 1]
    assert "going on with 1 samples at a time" in caplog.text
    assert runner.run_inference(tiny_batch, 2)["chunk"] == 1
    assert compiled == [3, 2, 1]


@pytest.mark.engine
def test_a_job_that_never_fits_fails_alone(starved, tiny_batch):
    runner, compiled = starved(fits=0)
    with pytest.raises(DeviceMemoryError, match="8 tokens do not fit") as caught:
        runner.run_inference(tiny_batch, 1)
    assert "Slurm --mem" in str(caught.value)
    assert compiled == [3, 2, 1]


@pytest.mark.engine
def test_other_failures_are_not_retried(small_model, tiny_batch):
    compiled = []

    class Compiler(ModelCompiler):
        def compile(self, params, batch, samples_at_once):
            compiled.append(samples_at_once)
            raise RuntimeError("INTERNAL")

    runner = small_model.runner(make_compiler=Compiler)
    with pytest.raises(RuntimeError, match="INTERNAL"):
        runner.run_inference(tiny_batch, 1)
    assert compiled == [3]
