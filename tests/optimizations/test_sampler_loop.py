"""The sampler's loop takes one step a turn."""

import ast
import dataclasses
import inspect
import re
import textwrap
import types

import numpy as np
import pytest

pytest.importorskip("jax")

import jax
import jax.numpy as jnp

from af3opt.data.bootstrap import bootstrap_engine
from af3opt.engine.modules import engine_module, source_digest
from af3opt.engine.patching import PatchSet
from af3opt.optimizations.base import Context
from af3opt.optimizations.sampler_loop import OPTIMIZATION, without_unrolling
from tests.optimizations import blocks

pytestmark = pytest.mark.engine


class UnrollByFour(ast.NodeTransformer):
    """Turns the fork's `unroll=1` into DeepMind's `unroll=4`."""

    def visit_keyword(self, node):
        if node.arg == "unroll":
            node.value = ast.Constant(4)
        return node


@pytest.fixture
def unrolled(prepared_home, tmp_path, monkeypatch):
    """The engine's sampler with DeepMind's loop, in the engine."""
    bootstrap_engine()
    module = engine_module("model.network.diffusion_head")
    tree = UnrollByFour().visit(ast.parse(textwrap.dedent(inspect.getsource(module.sample))))
    path = tmp_path / "unrolled.py"
    path.write_text(ast.unparse(ast.fix_missing_locations(tree)))
    exec(compile(path.read_text(), path, "exec"), vars(module), made := {})
    monkeypatch.setattr(module, "sample", made["sample"])
    return module


def run(module, steps):
    """A few steps with a simple denoiser: positions, and the loop's unrolling."""
    import haiku as hk

    mask = jnp.ones((5, 24))
    batch = types.SimpleNamespace(predicted_structure_info=types.SimpleNamespace(atom_mask=mask))
    extra = {}
    if "global_config" in inspect.signature(module.sample).parameters:
        extra["global_config"] = blocks.engine_config().global_config

    def sample(key):
        return module.sample(
            denoising_step=lambda positions, level: positions * jnp.sin(level),
            batch=batch,
            key=key,
            config=module.SampleConfig(steps=steps, num_samples=2),
            **extra,
        )["atom_positions"]

    key = jax.random.PRNGKey(3)
    function = hk.transform(sample).apply
    turns = re.findall(r"unroll=(\d+)", str(jax.make_jaxpr(function)({}, key, key)))
    return np.asarray(jax.jit(function)({}, key, key)), set(turns)


def test_same_steps_one_a_turn(unrolled, monkeypatch):
    reference, turns = run(unrolled, steps=9)
    assert "4" in turns
    monkeypatch.setattr(unrolled, "sample", without_unrolling(unrolled.sample))
    ours, turns = run(unrolled, steps=9)
    assert turns == {"1"}
    # Four steps written out are fused otherwise.
    assert np.abs(ours - reference).max() < 1e-6 * np.abs(reference).max()


def test_what_comes_after_still_knows_the_function(unrolled, monkeypatch):
    digest = source_digest(unrolled.sample)
    ((target, make),) = OPTIMIZATION.replacements
    target = dataclasses.replace(target, digests=frozenset({digest}))
    known = dataclasses.replace(OPTIMIZATION, replacements=((target, make),))
    assert known.obstacle() is None
    with PatchSet([known], Context(backend="cpu")):
        assert run(unrolled, steps=9)[1] == {"1"}
        assert target.obstacle() is None
    assert "4" in run(unrolled, steps=9)[1]


def test_engines_without_such_a_loop_are_not_spoken_of(prepared_home):
    bootstrap_engine()
    assert not OPTIMIZATION.needed()
