"""The probe on a miniature of the model: trunk in a loop, sampler in a scan over steps."""

import types

import pytest

from af3opt.numerics.stages import StageProbe

jax = pytest.importorskip("jax")
jnp = jax.numpy

TOKENS, SLOTS, SAMPLES, STEPS, PASSES = 4, 2, 3, 6, 3


class Trunk:
    def __call__(self, *, batch, prev, target_feat, bad):
        pair = prev["pair"] + 1
        # One real entry turns NaN at the pass asked for; padding always is.
        pair = jnp.where(prev["pair"].max(initial=0, where=batch.real) >= bad, jnp.nan, pair)
        pair = jnp.where(batch.pair_mask, pair, jnp.nan)
        return {"single": prev["single"], "pair": pair}


class Denoiser:
    def __call__(self, positions_noisy, noise_level, *, batch, bad):
        if positions_noisy is None:
            return (noise_level + jnp.where(bad["conditioning"], jnp.nan, 0.0), True)
        out = positions_noisy * 0.5
        return jnp.where(noise_level == bad["denoiser"], jnp.nan, out)


class Confidence:
    def __call__(self, positions, bad):
        return {"plddt": positions + jnp.where(bad["confidence"], jnp.nan, 0.0)}


def make_batch():
    mask = jnp.arange(TOKENS) < TOKENS - 1
    pair_mask = mask[:, None] & mask[None, :]
    return types.SimpleNamespace(
        token_features=types.SimpleNamespace(mask=mask),
        predicted_structure_info=types.SimpleNamespace(
            atom_mask=jnp.repeat(mask[:, None], SLOTS, axis=1)
        ),
        pair_mask=pair_mask,
        real=pair_mask,
    )


@pytest.fixture
def probed():
    """Runs the miniature with a defect and returns the stage the probe names."""
    probe = StageProbe()

    def wrapped(kind, wrap):
        return type(kind.__name__, (), {"__call__": wrap(kind.__call__)})()

    trunk = wrapped(Trunk, probe.wrap_trunk)
    denoiser = wrapped(Denoiser, probe.wrap_denoiser)
    confidence = wrapped(Confidence, probe.wrap_confidence)

    @jax.jit
    def model(bad):
        batch = make_batch()
        target = jnp.full((TOKENS, 1), bad["input"])
        embeddings = {"single": jnp.zeros((TOKENS, 1)), "pair": jnp.zeros((TOKENS, TOKENS))}

        def one_pass(_, carry):
            out = trunk(batch=batch, prev=carry, target_feat=target, bad=bad["trunk"])
            return {"single": out["single"], "pair": jnp.where(batch.pair_mask, out["pair"], 0)}

        jax.lax.fori_loop(0, PASSES, one_pass, embeddings)
        denoiser(None, jnp.zeros(()), batch=batch, bad=bad)

        def step(positions, level):
            noisy = jnp.where(level == bad["noise"], jnp.nan, positions)
            return denoiser(noisy, level, batch=batch, bad=bad), None

        start = jnp.ones((SAMPLES, TOKENS, SLOTS, 3))
        levels = jnp.arange(STEPS, 0, -1.0)
        positions, _ = jax.lax.scan(jax.vmap(step, in_axes=(0, None)), start, levels)
        return jax.lax.map(lambda sample: confidence(sample, bad), positions)

    def run(**defect):
        bad = {
            "input": 0.0, "trunk": jnp.inf, "conditioning": False, "denoiser": -1.0,
            "noise": -1.0, "confidence": False, **defect,
        }  # fmt: skip
        jax.block_until_ready(model({name: jnp.asarray(value) for name, value in bad.items()}))
        return probe.first_nonfinite()

    return run


@pytest.mark.parametrize(
    ("defect", "stage"),
    [
        ({}, None),
        ({"input": jnp.nan}, "input embedding"),
        ({"trunk": 0.0}, "trunk pass 1 of 3"),
        ({"trunk": 1.0}, "trunk pass 2 of 3"),
        ({"conditioning": True}, "diffusion conditioning"),
        ({"noise": 6.0}, "diffusion step 1 of 6, noise added by the sampler"),
        ({"noise": 2.0}, "diffusion step 5 of 6, noise added by the sampler"),
        ({"denoiser": 4.0}, "diffusion step 3 of 6, denoiser"),
        ({"confidence": True}, "confidence head"),
        ({"denoiser": 4.0, "trunk": 2.0}, "trunk pass 3 of 3"),
    ],
)
def test_first_bad_stage_is_named(probed, defect, stage):
    assert probed(**defect) == stage


def test_every_run_is_judged_by_itself(probed):
    assert probed(confidence=True) == "confidence head"
    assert probed() is None
