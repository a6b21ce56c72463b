"""Counting the products that optimisations spare."""

import pytest

from scripts.measure import products

pytestmark = [pytest.mark.engine, pytest.mark.slow]


def test_a_gpu_is_spared_work_and_most_without_an_msa(shared_home, monkeypatch, capsys):
    monkeypatch.setenv("AF3OPT_HOME", str(shared_home))
    assert products.main(["--buckets=64"]) == 0
    rows = [line.split(" | ") for line in capsys.readouterr().out.splitlines() if "64 |" in line]
    work = {row[1]: (float(row[2]), float(row[3])) for row in rows}
    assert list(work) == ["engine", "af3opt, deep MSA", "af3opt, no MSA"]
    engine, deep, alone = work.values()
    assert alone[0] < deep[0] < engine[0]
    assert alone[1] <= deep[1] < engine[1]
