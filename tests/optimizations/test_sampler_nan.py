import numpy as np
import pytest

from af3opt.data.prepared import find_prepared
from af3opt.data.resources import redirect_resources
from af3opt.optimizations.base import Context
from af3opt.optimizations.sampler_nan import SAMPLER_NAN, clamp_negative_roots

jax = pytest.importorskip("jax")
jnp = jax.numpy


def noise_scales(noise_levels):
    """The noise of each sampling step, in the form the affected engines compute it."""

    def step(noise_level_prev, noise_level):
        gamma = 0.8 * (noise_level > 1.0)
        t_hat = noise_level_prev * (1 + gamma)
        return noise_level, 1.003 * jnp.sqrt(t_hat**2 - noise_level_prev**2)

    return jax.lax.scan(step, noise_levels[0], noise_levels[1:], unroll=4)[1]


def root_of_a_sum(values):
    return jnp.sqrt(values + 1)


@pytest.fixture(scope="module")
def levels():
    """The published noise schedule for 200 steps (AlphaFold 3 supplement, section 3.7.1)."""
    times = np.linspace(0, 1, 201, dtype=np.float32)
    inverse = 160 ** (1 / 7) + times * (0.0004 ** (1 / 7) - 160 ** (1 / 7))
    return jnp.asarray(16.0 * inverse**7, jnp.float32)


def test_fused_arithmetic_takes_the_root_of_a_negative_number(levels):
    if jax.default_backend() != "cpu":
        pytest.skip("only a CPU fuses the product and the difference")
    assert np.isnan(jax.jit(noise_scales)(levels)).any()


def test_clamped_sampler_is_finite_and_otherwise_unchanged(levels):
    before = np.asarray(jax.jit(noise_scales)(levels))
    after = np.asarray(jax.jit(clamp_negative_roots(noise_scales))(levels))
    assert np.isfinite(after).all()
    assert (after >= 0).all()
    finite = np.isfinite(before)
    np.testing.assert_array_equal(after[finite], before[finite])


def test_function_without_such_a_root_is_refused():
    with pytest.raises(ValueError, match="takes no root of a difference"):
        clamp_negative_roots(root_of_a_sum)


def test_closure_is_refused():
    bound = 1.0

    def closure(values):
        return jnp.sqrt(values - bound)

    with pytest.raises(ValueError, match="free variables"):
        clamp_negative_roots(closure)


@pytest.mark.engine
def test_repaired_engines_are_left_alone(prepared_home):
    redirect_resources(find_prepared())
    assert not SAMPLER_NAN.wanted(Context(backend="cpu"))
