"""Measuring optimisations one by one, and where the time goes."""

import argparse

import pytest

from scripts.measure import ablation, model_variants, profile
from scripts.measure.ablation import Figures, as_markdown
from scripts.measure.model_variants import ModelVariants

SHORT = ["--depth=small", "--steps=2", "--samples=1"]


def test_a_table_says_gain_alone_and_loss_when_left_out():
    figures = Figures(
        tokens=80,
        engine=8.0,
        all_together=2.0,
        alone={"atom_slots": 4.0, "diffusion_products": 10.0},
        left_out={"atom_slots": 5.0},
    )
    rows = as_markdown([figures]).splitlines()
    assert "| `atom_slots` | 2.00x, 2.50x |" in rows
    assert "| `diffusion_products` | 0.80x, - |" in rows
    assert rows[-1] == "| all | 2.00 s (4.00x) |"


@pytest.mark.engine
def test_the_environment_is_set_before_weights_are_made(shared_home, monkeypatch):
    """Making weights starts JAX, and XLA reads its flags then."""
    monkeypatch.setenv("AF3OPT_HOME", str(shared_home))
    steps = []

    def recorded(name):
        real = getattr(model_variants, name)

        def call(*args):
            steps.append(name)
            return real(*args)

        return call

    for name in ("prepare_process", "write_synthetic_weights"):
        monkeypatch.setattr(model_variants, name, recorded(name))
    parser = argparse.ArgumentParser()
    model_variants.add_model_flags(parser)
    ModelVariants(parser.parse_args(SHORT))
    assert steps == ["prepare_process", "write_synthetic_weights"]


@pytest.mark.engine
@pytest.mark.slow
def test_each_is_measured_alone_and_left_out(shared_home, monkeypatch, capsys):
    monkeypatch.setenv("AF3OPT_HOME", str(shared_home))
    active = {}
    real = ModelVariants.compiled

    def compiled(self, flags, batch):
        program = real(self, flags, batch)
        active[tuple(flags)] = program.active
        return program

    monkeypatch.setattr(ModelVariants, "compiled", compiled)
    names = ("transition_blocks", "msa_depth")
    chosen = [f"--optimization={name}" for name in names]
    assert ablation.main(["--tokens=24", "--rounds=1", *chosen, *SHORT]) == 0
    shown = capsys.readouterr().out
    together = active[ablation.ALL_TOGETHER]
    assert {*names, "atom_slots"} <= set(together)
    assert active[ablation.ENGINE.flags] == ()
    for name in names:
        left_out = active[(*ablation.ALL_TOGETHER, f"--disable_optimizations={name}")]
        assert set(left_out) == set(together) - {name}
        assert (name,) in active.values()
        assert f"| `{name}` |" in shown


PROGRAM = """
  %fusion.1 = f32[8]{0} fusion(%a), metadata={op_name="jit(f)/evoformer/x/pair_transition/dot"}
  ROOT %dot.2 = f32[8]{0} dot(%a), metadata={op_name="jit(f)/vmap(diffusion_head)/transformer/dot"}
  %while.3 = f32[8]{0} while(%a), metadata={op_name="jit(f)/evoformer/while"}
  %cond.5.clone = (f32[8]{0}, s32[]) conditional(%a, %b), metadata={op_name="jit(f)/evoformer/cond"}
  %conditional.6 = f32[8]{0} fusion(%a), calls=%called, metadata={op_name="jit(f)/evoformer/add"}
"""


def test_operations_belong_to_parts_by_their_scopes():
    events = [
        {"name": name, "dur": microseconds, "args": {"hlo_op": name}}
        for name, microseconds in (("fusion.1", 2e6), ("fusion.1", 1e6), ("dot.2", 5e6))
    ]
    events += [
        {"name": "while.3", "dur": 9e6, "args": {"hlo_op": "while.3"}},
        {"name": "cond.5.clone", "dur": 7e6, "args": {"hlo_op": "cond.5.clone"}},
        {"name": "conditional.6", "dur": 4e6, "args": {"hlo_op": "conditional.6"}},
        {"name": "unknown.4", "dur": 1e6, "args": {"hlo_op": "unknown.4"}},
        {"name": "a thread", "args": {}},
    ]
    assert profile.seconds_by_part(events, PROGRAM) == {
        "trunk: pair transition": 3.0,
        "sampler: token transformer": 5.0,
        "trunk: rest": 4.0,
        "rest": 1.0,
    }


@pytest.mark.engine
@pytest.mark.slow
def test_the_parts_of_a_run_have_names(shared_home, monkeypatch):
    monkeypatch.setenv("AF3OPT_HOME", str(shared_home))
    parser = argparse.ArgumentParser()
    profile.add_model_flags(parser)
    variants = ModelVariants(parser.parse_args(SHORT))
    batch = variants.batch(24)
    for flags in (profile.ENGINE.flags, profile.ALL_TOGETHER):
        found = profile.profile(variants.compiled(flags, batch))
        assert set(found) == {*profile._PARTS, "rest"}
        assert found["rest"] < 0.3 * sum(found.values())
