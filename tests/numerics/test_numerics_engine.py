"""Numerics against the engine's own features, structures and scores."""

import json

import numpy as np
import pytest
import zstandard

from af3opt.engine.model import extract_inference_results
from af3opt.numerics import NonFinitePolicy, NumericsHandler, infer_checked
from af3opt.numerics.excluded import extract_nonfinite, select_samples, write_nonfinite
from af3opt.numerics.expected import UndefinedByDesign
from af3opt.numerics.extraction import extract_samples
from af3opt.numerics.plausibility import check_plausibility
from af3opt.output.record_parts import nonfinite_sample_record, ranked_sample_record, seed_record

pytestmark = pytest.mark.engine

SAMPLES = 3
INPUT = {
    "name": "mix",
    "modelSeeds": [1],
    "dialect": "alphafold3",
    "version": 2,
    "sequences": [
        {"protein": {"id": "A", "sequence": "MQIFVKT", "unpairedMsa": "", "pairedMsa": "",
                     "templates": []}},
        {"ligand": {"id": "B", "ccdCodes": ["ATP"]}},
        {"ligand": {"id": "C", "ccdCodes": ["MG"]}},
        {"rna": {"id": "D", "sequence": "ACGU", "unpairedMsa": ""}},
    ],
}  # fmt: skip


@pytest.fixture
def batch(engine_input):
    return engine_input(INPUT).featurise(64)


@pytest.fixture
def result(batch):
    """What a forward pass returns, with the reference conformers as coordinates."""
    random = np.random.default_rng(1)
    tokens = batch["seq_mask"].shape[0]
    slots = batch["pred_dense_atom_mask"].shape[1]
    pair = (SAMPLES, tokens, tokens)
    places = 8.0 * batch["ref_space_uid"][None, :, :, None]
    positions = batch["ref_pos"][None] + places
    positions = positions + random.normal(scale=0.01, size=(SAMPLES, tokens, slots, 3))
    return {
        "diffusion_samples": {
            "atom_positions": positions.astype(np.float32),
            "mask": np.ones((SAMPLES, tokens, slots), np.float32),
        },
        "predicted_lddt": np.full((SAMPLES, tokens, slots), 70.0, np.float32),
        "full_pae": random.uniform(1, 30, pair).astype(np.float32),
        "full_pde": random.uniform(1, 30, pair).astype(np.float32),
        "average_pde": np.ones(SAMPLES, np.float32),
        "tmscore_adjusted_pae_global": random.uniform(0, 1, pair).astype(np.float32),
        "tmscore_adjusted_pae_interface": random.uniform(0, 1, pair).astype(np.float32),
        "distogram": {"contact_probs": random.uniform(0, 1, pair[1:]).astype(np.float32)},
        "__identifier__": b"test",
    }


def spoil(result, batch):
    """Makes sample 1 partly non-finite, and padding of sample 0."""
    result["diffusion_samples"]["atom_positions"][1, 3] = np.nan
    result["predicted_lddt"][1, 2] = np.nan
    result["full_pae"][1, 0, 0] = np.inf
    result["full_pae"][0, -1] = np.nan
    assert not batch["seq_mask"][-1]


def test_engine_leaves_undefined_exactly_what_is_expected(batch, result):
    assert NumericsHandler().check_seed(result, batch, seed=1).ok
    undefined = UndefinedByDesign.from_batch(batch)
    (sample, *_) = extract_inference_results(batch, result, "mix")
    for name, expected in undefined.by_field().items():
        np.testing.assert_array_equal(np.isnan(sample.metadata[name]), expected, err_msg=name)
    assert NumericsHandler().check_sample_summary(sample.metadata, batch) == ()


def test_bad_sample_is_told_from_good_ones_and_padding(batch, result):
    spoil(result, batch)
    verdict = NumericsHandler().check_seed(result, batch, seed=1)
    assert verdict.bad_samples == {1}


def test_good_samples_come_out_as_if_the_bad_one_were_not_there(batch, result):
    (first, _, last) = extract_inference_results(batch, result, "mix")
    spoil(result, batch)
    kept = extract_inference_results(batch, select_samples(result, [0, 2]), "mix")
    for before, after in zip((first, last), kept, strict=True):
        np.testing.assert_array_equal(
            before.predicted_structure.coords, after.predicted_structure.coords
        )
        assert before.metadata["ranking_score"] == after.metadata["ranking_score"]


@pytest.mark.parametrize("compress", [False, True])
def test_bad_sample_is_written_without_invented_values(batch, result, tmp_path, compress):
    spoil(result, batch)
    (sample,) = extract_nonfinite(result, batch, [1])
    write_nonfinite(sample, tmp_path, "mix_seed-1_sample-1_nonfinite", compress=compress)
    texts = {}
    for path in tmp_path.glob("mix_seed-*"):
        data = path.read_bytes()
        if path.suffix == ".zst":
            data = zstandard.ZstdDecompressor().decompressobj().decompress(data)
        texts[path.name.removesuffix(".zst").partition("nonfinite_")[2]] = data.decode()
    atoms = [line.split() for line in texts["model.cif"].splitlines() if line.startswith("ATOM ")]
    unknown = [atom for atom in atoms if "?" in atom[10:13]]
    assert {(atom[6], atom[8]) for atom in unknown} == {("A", "4")}
    assert all(atom[10:13] == ["?"] * 3 for atom in unknown)
    assert {atom[8] for atom in atoms if atom[14] == "?"} == {"3"}
    confidences = json.loads(texts["confidences.json"])
    assert confidences["pae"][0][0] is None
    assert confidences["pae"][0][1] is not None
    assert confidences["token_chain_ids"].count("C") == 1
    assert None in confidences["atom_plddts"]
    summary = json.loads(texts["summary_confidences.json"])
    assert summary["ranking_score"] is None
    assert "Not a prediction" in summary["af3opt_note"]
    assert texts["model.cif"].startswith("# Not a prediction")


@pytest.mark.parametrize(("policy", "suffix"), [("retry", "_nonfinite"), ("mark", "")])
def test_samples_of_a_checked_seed(batch, result, policy, suffix):
    spoil(result, batch)
    checked = infer_checked(
        lambda: result,
        batch,
        seed=1,
        handler=NumericsHandler(NonFinitePolicy(policy)),
        safer=None,
        infer_safer=lambda _: result,
    )
    extracted = extract_samples(checked, batch, "mix")
    assert sorted(extracted.ranked) == [0, 2]
    assert [sample.index for sample in extracted.apart] == [1]
    assert extracted.suffix == suffix
    ranked = [
        ranked_sample_record(index, "dir", sample) for index, sample in extracted.ranked.items()
    ]
    record = seed_record(checked, [nonfinite_sample_record(1, "apart"), *ranked])
    assert [sample.index for sample in record.samples] == [0, 1, 2]
    assert record.samples[0].plausibility["torn_bonds"] == 9
    assert record.numerics["bad_samples"] == [1]


def test_seed_without_a_good_sample(batch, result):
    result["full_pae"][:] = np.nan
    handler = NumericsHandler()
    checked = infer_checked(
        lambda: result, batch, seed=1, handler=handler, safer=None, infer_safer=lambda _: result
    )
    extracted = extract_samples(checked, batch, "mix")
    assert not extracted.ranked
    assert len(extracted.apart) == SAMPLES


def test_plausible_parts_are_not_flagged(batch, result):
    """Conformers 8 Å apart: every hand is right, every chain is torn, nothing clashes."""
    (sample, *_) = extract_inference_results(batch, result, "mix")
    found = check_plausibility(sample.predicted_structure)
    assert found.clashing_atom_pairs == 0
    assert found.inverted_amino_acids == 0
    assert found.inverted_ligands == ()
    assert found.torn_bonds == 6 + 3


def test_mirror_image_is_flagged(batch, result):
    result["diffusion_samples"]["atom_positions"] *= np.float32([-1, 1, 1])
    (sample, *_) = extract_inference_results(batch, result, "mix")
    found = check_plausibility(sample.predicted_structure)
    assert found.inverted_amino_acids == 7
    assert found.inverted_ligands == ("B",)
    assert not found.ok


def test_collapsed_chain_clashes(batch, result):
    result["diffusion_samples"]["atom_positions"] *= np.float32(0.01)
    (sample, *_) = extract_inference_results(batch, result, "mix")
    assert check_plausibility(sample.predicted_structure).clashing_atom_pairs > 100
