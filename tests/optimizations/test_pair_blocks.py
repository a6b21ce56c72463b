"""The pair stack in blocks of rows computes what the engine computes."""

import logging

import numpy as np
import pytest

pytest.importorskip("jax")

from af3opt.data.bootstrap import bootstrap_engine
from af3opt.engine.modules import engine_module
from af3opt.engine.patching import PatchSet
from af3opt.optimizations import OPTIMIZATIONS, activate, deactivate
from af3opt.optimizations.base import BFLOAT16, FLOAT32, MIXED, Context
from tests.optimizations import blocks
from tests.optimizations.blocks import rms

pytestmark = pytest.mark.engine

PAIR_STACK = (
    "transition_blocks",
    "triangle_attention_blocks",
    "triangle_multiplication_layout",
)
STACKS = {
    "pairformer": blocks.pairformer,
    "template": blocks.template_stack,
    "msa": blocks.msa_stack,
}


@pytest.fixture(autouse=True)
def engine(prepared_home):
    bootstrap_engine()
    yield
    deactivate()


def run_with(names, precision, stack, tokens=24, real=20, engine_bfloat16="none", threads=1):
    """Runs a stack with these optimisations in force, as if the engine were known."""
    context = Context(backend="cpu", threads=threads, trunk_precision=precision)
    dtype = "float32" if engine_bfloat16 == "none" else "bfloat16"
    patches = PatchSet([one for one in OPTIMIZATIONS if one.name in names], context)
    with patches:
        assert set(patches.in_force) == set(names)
        return STACKS[stack](blocks.engine_config(engine_bfloat16), tokens, real, dtype)


@pytest.mark.parametrize("stack", STACKS)
def test_float32_differs_by_rounding_only(stack):
    reference = run_with((), FLOAT32, stack)
    ours = run_with(PAIR_STACK, FLOAT32, stack)
    assert rms(ours - reference) < 2e-6 * rms(reference)


@pytest.mark.parametrize("name", PAIR_STACK)
@pytest.mark.parametrize(("tokens", "real"), [(16, 16), (23, 20), (40, 31)])
def test_each_alone_for_odd_sizes(name, tokens, real):
    reference = run_with((), FLOAT32, "pairformer", tokens, real)
    ours = run_with((name,), FLOAT32, "pairformer", tokens, real)
    assert rms(ours - reference) < 2e-6 * rms(reference)


@pytest.mark.parametrize("stack", STACKS)
def test_mixed_precision_is_closer_to_float32_than_the_engine(stack):
    reference = run_with((), FLOAT32, stack)
    engine = run_with((), BFLOAT16, stack, engine_bfloat16="all")
    ours = run_with(PAIR_STACK, MIXED, stack)
    assert rms(ours - reference) < 0.75 * rms(engine - reference)
    within_engine = run_with(PAIR_STACK, BFLOAT16, stack, engine_bfloat16="all")
    assert rms(within_engine - reference) < 1.1 * rms(engine - reference)


@pytest.mark.parametrize("tokens", [16, 48])
def test_mixed_precision_runs_where_all_rows_fit_one_block(tokens):
    reference = run_with((), FLOAT32, "pairformer", tokens, 14)
    ours = run_with(PAIR_STACK, MIXED, "pairformer", tokens, 14, threads=64)
    assert rms(ours - reference) < 2e-2 * rms(reference)


def test_padding_does_not_reach_real_tokens():
    full = run_with(PAIR_STACK, FLOAT32, "pairformer", 20, 20)
    assert np.isfinite(full).all()
    padded = run_with(PAIR_STACK, FLOAT32, "pairformer", 32, 20)
    assert np.isfinite(padded).all()


def test_changed_function_makes_its_optimisation_step_aside(settings_of, monkeypatch, caplog):
    modules = engine_module("model.network.modules")

    def changed(self, act, broadcast_dim=0, mask=None):
        return act * 1.5

    monkeypatch.setattr(modules.TransitionBlock, "__call__", changed)
    with caplog.at_level(logging.WARNING):
        considered = activate(settings_of(), Context(backend="cpu", trunk_precision=MIXED))
    states = {one.name: one for one in considered}
    assert not states["transition_blocks"].active
    assert "not the function it knows" in states["transition_blocks"].reason
    assert states["triangle_attention_blocks"].active
    assert caplog.text.count("steps aside") == 1
    assert modules.TransitionBlock.__call__ is changed


def test_deactivate_restores_the_engine(settings_of):
    modules = engine_module("model.network.modules")
    before = modules.GridSelfAttention.__call__
    activate(settings_of(), Context(backend="cpu", trunk_precision=MIXED))
    assert modules.GridSelfAttention.__call__ is not before
    deactivate()
    assert modules.GridSelfAttention.__call__ is before


def test_float32_activations_change_the_models_configuration_only(settings_of):
    config = blocks.engine_config("all")
    activate(settings_of(), Context(backend="cpu", trunk_precision=MIXED))
    import haiku as hk

    seen = []

    def build():
        seen.append(engine_module("model.model").Model(config).global_config.bfloat16)

    hk.transform(build).init(None)
    assert seen == ["none"]
    assert config.global_config.bfloat16 == "all"
