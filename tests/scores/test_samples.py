"""What is defined for which pair, and what becomes of incomplete files."""

import dataclasses
import json

import pytest
import zstandard

from af3opt.scores.reading.files import UnreadableFileError
from af3opt.scores.samples import score_sample
from tests.scores.models import helix, heterodimer, protein_dna, sequence, trimer, write_model

PROTEIN_ONLY = ("pdockq", "pdockq2_ab", "pdockq2_ba")
POLYMERS_ONLY = (
    *("ipsae_ab", "ipsae_ba", "ipsae_d0chn_ab", "ipsae_d0chn_ba", "ipsae_d0dom_ab"),
    *("ipsae_d0dom_ba", "lis", "clis", "ilis"),
)
ALWAYS = ("pair_iptm", "pair_pae_min", "contacts", "buried_area")


def by_name(files):
    return {interface.name: interface for interface in score_sample(files)}


def defined(interface):
    return {
        field.name
        for field in dataclasses.fields(interface)
        if getattr(interface, field.name) is not None
    } - {"chains", "kinds"}


def test_each_score_is_there_where_it_is_defined_and_only_there(tmp_path):
    found = by_name(write_model(tmp_path, protein_dna()))
    assert list(found) == ["A:B", "A:C", "A:D", "A:E", "B:C", "B:D", "B:E", "C:D", "C:E", "D:E"]
    assert found["A:B"].kinds == ("protein", "DNA")
    assert found["A:D"].kinds == ("protein", "ligand")
    for name in ("A:B", "A:C", "B:C"):
        assert defined(found[name]) == {*POLYMERS_ONLY, *ALWAYS}
    for name in ("A:D", "A:E", "B:D", "D:E"):
        assert defined(found[name]) == {*ALWAYS}
    dimer = by_name(write_model(tmp_path / "dimer", heterodimer()))["A:B"]
    assert defined(dimer) == {*PROTEIN_ONLY, *POLYMERS_ONLY, *ALWAYS}


def test_chain_pair_scores_are_the_summarys(tmp_path):
    files = write_model(tmp_path, trimer())
    summary = json.loads(files.summary.read_text())
    summary["chain_pair_iptm"] = [[0.9, 0.1, 0.2], [0.1, 0.9, None], [0.2, 0.3, 0.9]]
    summary["chain_pair_pae_min"] = [[0.8, 4, 5], [3, 0.8, 7], [6, None, 0.8]]
    files.summary.write_text(json.dumps(summary))
    found = by_name(files)
    pairs = {name: (i.pair_iptm, i.pair_pae_min) for name, i in found.items()}
    expected = {"B:C": (0.1, 3), "B:A": (0.2, 5), "C:A": (0.3, 7)}
    assert pairs == {name: pytest.approx(values) for name, values in expected.items()}


@pytest.mark.parametrize("chain_ids", [["A", "B", "C"], ["A", "A", "B", "B", "B", "C"]])
def test_summary_that_names_its_chains_is_read_in_that_order(tmp_path, chain_ids):
    files = write_model(tmp_path, trimer())
    summary = json.loads(files.summary.read_text())
    summary["chain_ids"] = chain_ids
    summary["chain_pair_iptm"] = [[0.9, 0.1, 0.2], [0.1, 0.9, 0.3], [0.2, 0.3, 0.9]]
    files.summary.write_text(json.dumps(summary))
    found = by_name(files)
    assert found["B:C"].pair_iptm == pytest.approx(0.3)
    assert found["B:A"].pair_iptm == pytest.approx(0.1)


def test_smallest_error_comes_from_the_matrix_without_a_summary(tmp_path):
    files = write_model(tmp_path, heterodimer())
    with_summary = by_name(files)["A:B"]
    without = by_name(dataclasses.replace(files, summary=None))["A:B"]
    assert without.pair_iptm is None
    assert without.pair_pae_min == pytest.approx(with_summary.pair_pae_min)


def test_without_confidences_what_needs_only_atoms_is_left(tmp_path):
    files = write_model(tmp_path, heterodimer())
    whole = by_name(files)["A:B"]
    found = by_name(dataclasses.replace(files, confidences=None))["A:B"]
    assert defined(found) == {"pdockq", *ALWAYS}
    assert found.pdockq == pytest.approx(whole.pdockq)


def test_a_matrix_that_does_not_fit_is_left_out(tmp_path):
    files = write_model(tmp_path, heterodimer())
    values = json.loads(files.confidences.read_text())
    values["pae"] = [[1.0, 2.0], [3.0, 4.0]]
    files.confidences.write_text(json.dumps(values))
    assert by_name(files)["A:B"].ipsae_ab is None


def test_without_a_structure_there_is_nothing_to_score(tmp_path):
    files = write_model(tmp_path, heterodimer())
    with pytest.raises(UnreadableFileError, match=r"model\.cif: missing"):
        score_sample(dataclasses.replace(files, structure=None))


def test_compressed_files_give_the_same(tmp_path):
    files = write_model(tmp_path, heterodimer())
    plain = score_sample(files)
    packed = {}
    for name in ("structure", "confidences"):
        path = getattr(files, name)
        packed[name] = path.with_name(path.name + ".zst")
        packed[name].write_bytes(zstandard.compress(path.read_bytes()))
    assert score_sample(dataclasses.replace(files, **packed)) == plain


def test_missing_confidences_and_positions_are_no_numbers_in_the_result(tmp_path):
    files = write_model(tmp_path, heterodimer())
    values = json.loads(files.confidences.read_text())
    values["atom_plddts"] = [None] * len(values["atom_plddts"])
    values["pae"][0][-1] = None
    files.confidences.write_text(json.dumps(values))
    text = files.structure.read_text().splitlines()
    row = next(i for i, line in enumerate(text) if line.startswith("ATOM 1 "))
    fields = text[row].split()
    fields[10] = "nan"
    text[row] = " ".join(fields)
    files.structure.write_text("\n".join(text))
    found = by_name(files)["A:B"]
    assert found.pdockq is None
    assert found.pdockq2_ab is None
    assert found.ipsae_ab > 0
    assert found.contacts > 0


def test_a_modified_residue_counts_as_one(tmp_path):
    plain = sequence(40)
    marked = [*plain[:12], "SEP", *plain[13:]]
    partner = helix("B", sequence(30), [8.6, 0, 3], 150, True)
    found = [
        by_name(write_model(tmp_path / str(k), helix("A", residues, [0, 0, 0]) + partner))["A:B"]
        for k, residues in enumerate((plain, marked))
    ]
    # d0 of ipSAE_d0chn counts residues: more tokens would raise it.
    assert found[1].ipsae_d0chn_ab == pytest.approx(found[0].ipsae_d0chn_ab, abs=0.05)
    assert abs(found[1].contacts - found[0].contacts) <= 2


def test_single_chain_has_no_interface(tmp_path):
    assert score_sample(write_model(tmp_path, helix("A", sequence(30), [0, 0, 0]))) == []


def test_hydrogens_are_left_out(tmp_path):
    files = write_model(tmp_path / "a", heterodimer())
    lines = files.structure.read_text().splitlines()
    side = [" CG . " in line and " B 2 " in line for line in lines]
    assert sum(side) > 20
    as_hydrogen = [
        line.replace(" C CG ", " H CG ") if s else line for s, line in zip(side, lines, strict=True)
    ]
    files.structure.write_text("\n".join(as_hydrogen))
    found = by_name(files)["A:B"]
    gone = write_model(tmp_path / "b", heterodimer())
    gone.structure.write_text("\n".join(x for s, x in zip(side, lines, strict=True) if not s))
    bare = by_name(gone)["A:B"]
    assert (found.contacts, found.buried_area) == (bare.contacts, bare.buried_area)
