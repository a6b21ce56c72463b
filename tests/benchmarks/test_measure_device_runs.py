"""Inference of the engine and of af3opt in turn, on the device there is."""

import re

import pytest

from scripts.measure import device_runs


@pytest.mark.engine
@pytest.mark.slow
def test_both_sides_run_and_are_compared(shared_home, monkeypatch, capsys):
    monkeypatch.setenv("AF3OPT_HOME", str(shared_home))
    flags = ["--jax_backend=cpu", "--attention=xla", "--tokens=24", "--rounds=2", "--recycles=1"]
    flags += ["--depth=small", "--steps=2", "--samples=2", "--leave_out=msa_depth"]
    assert device_runs.main([*flags, "--", "--diffusion_precision=bfloat16"]) == 0
    shown = capsys.readouterr().out
    (active,) = re.findall(r"24 tokens, af3opt: with (.*)", shown)
    assert "msa_depth" in active
    assert "diffusion_products" in active
    (all_others,) = re.findall(r"24 tokens, without msa_depth: with (.*)", shown)
    assert all_others == active.replace("msa_depth, ", "")
    assert "1 recycles, 2 steps of 2 samples, xla attention" in shown
    for side in ("engine", "af3opt", "without msa_depth"):
        assert re.search(rf"24 tokens, {side}: runs of \d+\.\d\d, \d+\.\d\d s, \d+\.\d+x", shown)
    apart = {
        line.partition(",")[2].partition(":")[0].strip(): float(
            re.search(r"atoms (\S+) apart", line)[1]
        )
        for line in shown.splitlines()
        if " apart " in line
    }
    assert apart["engine to itself"] == 0.0
    assert set(apart) == {"engine to itself", "af3opt to engine", "without msa_depth to engine"}
    # The trunk's rounding: something, and far less than the structure's own size.
    assert 0.0 < apart["af3opt to engine"] < 1.0


def test_two_ways_of_leaving_out_are_not_mixed(capsys):
    with pytest.raises(SystemExit) as stopped:
        device_runs.main(["--leave_out=msa_depth", "--", "--disable_optimizations=atom_slots"])
    assert stopped.value.code == 2
    assert "give one of them" in capsys.readouterr().err
