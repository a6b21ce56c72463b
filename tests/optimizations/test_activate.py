"""Choosing optimisations."""

import contextlib
import dataclasses
import itertools

import pytest

from af3opt.base.errors import UsageError
from af3opt.base.fidelity import EXACT, PRECISION, REORDERED, RESAMPLED
from af3opt.data.bootstrap import bootstrap_engine
from af3opt.engine.patching import Package, Target, in_order
from af3opt.optimizations import (
    OPTIMIZATIONS,
    activate,
    activated_instead,
    deactivate,
    noise_conditioning,
    permitted,
    template_slots,
)
from af3opt.optimizations.base import (
    BFLOAT16,
    FLOAT32,
    MIXED,
    SPLIT,
    Context,
    Optimization,
)
from af3opt.optimizations.sampler_nan import SAMPLER_NAN


@pytest.fixture
def engine(prepared_home):
    bootstrap_engine()
    yield
    deactivate()


def test_names_are_unique_and_classes_known():
    names = [optimization.name for optimization in OPTIMIZATIONS]
    assert len(set(names)) == len(names)
    assert {one.fidelity for one in OPTIMIZATIONS} <= {EXACT, REORDERED, PRECISION, RESAMPLED}


@pytest.mark.parametrize("backend", ["cpu", "gpu", "mps"])
def test_any_that_are_in_force_together_have_a_declared_order(backend):
    choices = itertools.product(
        ("xla", "triton", "cudnn"), (FLOAT32, MIXED, BFLOAT16), (FLOAT32, SPLIT, BFLOAT16)
    )
    for attention, trunk, diffusion in choices:
        context = Context(
            backend=backend,
            attention=attention,
            trunk_precision=trunk,
            diffusion_precision=diffusion,
        )
        # What is wanted on an engine that needs repair, such as DeepMind's v3.0.1, counts too.
        together = [
            one
            for one in OPTIMIZATIONS
            if one is SAMPLER_NAN or (backend in one.backends and one.wanted(context))
        ]
        assert len(in_order(together)) == len(together)


def test_unknown_name_is_refused_with_the_known_ones(settings_of):
    with pytest.raises(UsageError, match=r"'nonsense'; known are .*transition_blocks"):
        activate(settings_of("--disable_optimizations=nonsense"), Context(backend="cpu"))


@pytest.mark.engine
def test_exact_fidelity_permits_only_exact_ones(engine, settings_of):
    context = Context(backend="cpu", trunk_precision="mixed")
    for one in activate(settings_of("--fidelity=exact"), context):
        assert not one.active or one.fidelity == EXACT
        if one.fidelity != EXACT:
            assert one.reason == "--fidelity=exact"


@pytest.mark.engine
@pytest.mark.parametrize("fails", [False, True])
def test_others_are_in_force_for_a_block_and_then_those_from_before(engine, settings_of, fails):
    context = Context(backend="cpu", trunk_precision="mixed")
    active = {one.name for one in activate(settings_of(), context) if one.active}
    reordered = next(one for one in OPTIMIZATIONS if one.name in active and one.fidelity != EXACT)
    target, _ = reordered.replacements[0]

    def is_in_force():
        owner, name = target.place()
        return vars(owner)[name] is not target.original()

    assert is_in_force()
    with (
        contextlib.suppress(ZeroDivisionError),
        activated_instead(settings_of("--fidelity=exact"), context) as others,
    ):
        assert not any(one.active for one in others if one.fidelity != EXACT)
        assert not is_in_force()
        _ = 1 / (not fails)
    assert is_in_force()


@pytest.mark.engine
def test_disabled_by_name(engine, settings_of):
    considered = activate(
        settings_of("--disable_optimizations=transition_blocks"), Context(backend="cpu")
    )
    (one,) = [one for one in considered if one.name == "transition_blocks"]
    assert (one.active, one.reason) == (False, "--disable_optimizations")


def test_what_is_permitted_is_told_without_the_engine(settings_of, monkeypatch):
    def looked_at(target):
        raise AssertionError(target)

    monkeypatch.setattr(Target, "original", looked_at)
    names = permitted(settings_of(), Context(backend="cpu"))
    assert {"transition_blocks", "noise_conditioning"} <= set(names)


@pytest.mark.engine
def test_engine_that_does_it_itself_is_not_spoken_of(engine, settings_of, caplog):
    considered = {one.name: one for one in activate(settings_of(), Context(backend="cpu"))}
    for one in (noise_conditioning.OPTIMIZATION, template_slots.OPTIMIZATION):
        if one.needed():
            assert considered[one.name].active
        else:
            assert one.name not in considered
    assert "steps aside" not in caplog.text


@pytest.mark.engine
def test_missing_module_is_an_obstacle(engine):
    missing = Target("model.no_such_module", "function", frozenset({"0"}))
    optimization = Optimization(
        name="test",
        fidelity=EXACT,
        summary="",
        replacements=((missing, lambda original, _context: original),),
    )
    assert "no readable model.no_such_module.function" in optimization.obstacle()


@pytest.mark.engine
def test_a_package_would_not_help_where_a_function_changed(engine):
    missing = Package("no-such-package-x")
    known = dataclasses.replace(template_slots.OPTIMIZATION, replacements=(), relies_on=())
    assert dataclasses.replace(known, package=missing).lacks_package()
    changed = Target("model.network.diffusion_head", "sample", frozenset())
    spoilt = dataclasses.replace(known, package=missing, relies_on=(changed,))
    assert "is not the function it knows" in str(spoilt.obstacle())
    assert not spoilt.lacks_package()
