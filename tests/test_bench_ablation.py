"""Measuring optimisations one by one."""

import pytest

from af3opt.benchmarks import ablation
from af3opt.benchmarks.ablation import Figures, as_markdown


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
@pytest.mark.slow
def test_every_program_is_another_one(shared_home, monkeypatch, capsys):
    monkeypatch.setenv("AF3OPT_HOME", str(shared_home))
    measured = []
    real = ablation.Ablation.measure

    def measure(self, tokens, rounds):
        measured.append(real(self, tokens, rounds))
        return measured[-1]

    monkeypatch.setattr(ablation.Ablation, "measure", measure)
    flags = ["--tokens=24", "--depth=small", "--steps=2", "--samples=1", "--rounds=1"]
    assert ablation.main(flags) == 0
    shown = capsys.readouterr().out
    assert "1 recycle, 2 steps of 1 samples" in shown
    [figures] = measured
    assert {"transition_blocks", "msa_depth", "atom_slots"} <= set(figures.left_out)
    assert set(figures.left_out) <= set(figures.alone)
    for name in figures.alone:
        assert f"| `{name}` |" in shown
