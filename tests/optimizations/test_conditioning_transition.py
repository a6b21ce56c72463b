"""Transitions of the sampler's conditioning without a kernel package."""

import numpy as np
import pytest

pytest.importorskip("jax")

import jax.numpy as jnp

from af3opt.data.bootstrap import bootstrap_engine
from af3opt.engine.modules import engine_module
from af3opt.optimizations.base import Context
from af3opt.optimizations.conditioning_transition import OPTIMIZATION
from tests.optimizations import blocks

TOKENS, CHANNELS = 7, 16


@pytest.fixture(autouse=True)
def engine(prepared_home):
    bootstrap_engine()


def transition(act, *positional, **named):
    """The engine's transition with random weights."""
    module = engine_module("model.network.diffusion_transformer")
    config = blocks.engine_config().global_config

    def run(rows):
        return module.transition_block(rows, 2, config, *positional, name="pair_", **named)

    return blocks.run_block(run, act)


def activations(dtype):
    random = np.random.default_rng(5)
    return jnp.asarray(random.standard_normal((TOKENS, TOKENS, CHANNELS)), dtype)


@pytest.fixture
def kernels_called(monkeypatch):
    """Calls of the kernel, which still computes."""
    module = engine_module("model.network.diffusion_transformer")
    package = getattr(module, "tokamax", None) or module.gated_linear_unit
    kernel, calls = package.gated_linear_unit, []

    def counted(*args, **kwargs):
        calls.append(kwargs)
        return kernel(*args, **kwargs)

    monkeypatch.setattr(package, "gated_linear_unit", counted)
    return calls


def patched(*args, **kwargs):
    def call():
        return transition(*args, **kwargs)

    return blocks.with_patch(OPTIMIZATION, Context(backend="cpu"), call)


@pytest.mark.engine
def test_result_is_the_engines_and_no_kernel_is_called(kernels_called):
    reference = transition(activations(jnp.float32))
    called = len(kernels_called)
    assert called
    result = patched(activations(jnp.float32))
    assert len(kernels_called) == called
    np.testing.assert_allclose(result, reference, rtol=1e-6, atol=1e-6)
    assert blocks.rms(reference) > 0.1


@pytest.mark.engine
def test_activations_of_bfloat16_keep_the_kernel(kernels_called):
    reference = transition(activations(jnp.bfloat16))
    called = len(kernels_called)
    result = patched(activations(jnp.bfloat16))
    assert len(kernels_called) == 2 * called
    np.testing.assert_array_equal(result, reference)


@pytest.mark.engine
def test_a_choice_made_by_position_is_kept(kernels_called):
    patched(activations(jnp.float32), None, True)
    assert kernels_called
