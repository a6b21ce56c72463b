import base64
import json
import zlib

import numpy as np
import pytest

from af3opt.report.job import load_job
from af3opt.report.packing import json_for_script, numbers, pack, pack_words, strict
from af3opt.report.pae import MISSING, STEP, reduce_pae
from af3opt.report.payload import job_payload
from af3opt.report.superpose import principal_frame, rmsd, superpose
from af3opt.scores.reading.structure import Structure
from tests.report.synthetic_job import SyntheticJob, write_job


def unpack(text: str, dtype: str) -> np.ndarray:
    return np.frombuffer(zlib.decompress(base64.b64decode(text)), dtype)


@pytest.fixture(scope="module")
def job(tmp_path_factory):
    root = tmp_path_factory.mktemp("numbers")
    return load_job(write_job(root, SyntheticJob(residues=40, samples=3)), 25)


def test_pae_is_within_half_a_step_at_full_size():
    pae = np.random.default_rng(0).uniform(0, 31.75, (50, 50)).astype(np.float32)
    reduced = reduce_pae(pae, 100)
    assert reduced.bin_size == 1
    assert np.abs(reduced.values * STEP - pae).max() <= STEP / 2 + 1e-6


def test_large_pae_is_averaged_over_bins_and_skips_what_is_missing():
    pae = np.arange(25, dtype=np.float32).reshape(5, 5)
    pae[0, 0] = np.nan
    pae[4, 4] = np.inf
    reduced = reduce_pae(pae, 3)
    assert (reduced.bin_size, reduced.tokens) == (2, 5)
    assert reduced.values[0, 0] * STEP == pytest.approx(np.mean([1, 5, 6]), abs=STEP / 2)
    assert reduced.values[0, 2] * STEP == pytest.approx(np.mean([4, 9]), abs=STEP / 2)
    assert reduced.values[2, 2] == MISSING


def test_superposition_undoes_any_rotation_and_never_mirrors(job):
    reference = job.samples[0].structure
    target = principal_frame(reference)
    rng = np.random.default_rng(1)
    rotation, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    rotation *= np.linalg.det(rotation)
    turned = reference.coordinates @ rotation.T + 50
    moving = Structure(reference.topology, turned.astype(np.float32), reference.b_factors, "")
    moved = superpose(reference, target, moving)
    assert rmsd(reference, target, moving, moved) < 1e-3
    mirrored = Structure(
        reference.topology, reference.coordinates * [1, 1, -1], reference.b_factors, ""
    )
    moved = superpose(reference, target, mirrored)
    assert rmsd(reference, target, mirrored, moved) > 1.0


def test_principal_frame_keeps_distances_and_hand(job):
    structure = job.samples[0].structure
    frame = principal_frame(structure)
    old, new = structure.coordinates[:4].astype(float), frame[:4]
    assert np.linalg.norm(new[1] - new[0]) == pytest.approx(
        np.linalg.norm(old[1] - old[0]), abs=1e-4
    )

    def volume(p):
        return np.linalg.det(p[1:] - p[0])

    assert volume(new) == pytest.approx(volume(old), rel=1e-3)


def test_unusable_coordinates_stay_unusable(job):
    reference = job.samples[0].structure
    coordinates = reference.coordinates.copy()
    coordinates[0], coordinates[1] = np.nan, 1e30
    broken = Structure(reference.topology, coordinates, reference.b_factors, "")
    moved = superpose(reference, principal_frame(reference), broken)
    assert np.isnan(moved[:2]).all()
    assert np.isfinite(moved[2:]).all()


def test_coordinates_and_pae_survive_packing(job):
    payload = job_payload(job)
    sample, packed = job.samples[0], payload["samples"][0]
    differences = unpack(packed["coordinates"], "<i4").reshape(3, -1)
    positions = np.cumsum(differences, axis=1).T / 100
    assert np.abs(positions - principal_frame(sample.structure)).max() < 0.0051
    side = packed["pae"]["side"]
    values = unpack(packed["pae"]["values"], "u1").reshape(side, side)
    restored = np.cumsum(values, axis=1, dtype=np.uint64) % 256
    assert np.array_equal(restored, sample.pae.values)
    assert unpack(packed["token_plddt"], "<u2")[0] == round(float(sample.token_plddt[0]) * 100)


def test_missing_coordinates_leave_a_gap_in_the_running_sum(job):
    sample = job.samples[0]
    coordinates = sample.structure.coordinates.copy()
    coordinates[3] = np.nan
    broken = Structure(sample.structure.topology, coordinates, sample.structure.b_factors, "")
    original, sample.structure = sample.structure, broken
    try:
        packed = job_payload(job)["samples"][0]
    finally:
        sample.structure = original
    differences = unpack(packed["coordinates"], "<i4").reshape(3, -1)
    assert (differences[:, 3] == -(2**31)).all()
    kept = np.delete(differences, 3, axis=1)
    expected = np.delete(principal_frame(broken), 3, axis=0)
    assert np.abs(np.cumsum(kept, axis=1).T / 100 - expected).max() < 0.0051


def test_samples_share_one_topology_and_token_table(job):
    payload = job_payload(job)
    assert len(payload["topologies"]) == len(payload["tokens"]) == 1
    assert payload["samples"][0]["rmsd"] == 0.0
    assert payload["samples"][2]["rmsd"] > 0


def test_words_and_numbers_pack_losslessly():
    packed = pack_words(("CA", "N", "CA"))
    assert packed["words"] == ["CA", "N"]
    assert unpack(packed["index"], "<u4").tolist() == [0, 1, 0]
    assert unpack(pack(np.array([[1, -2]], ">i4")), "<i4").tolist() == [1, -2]
    assert numbers(np.array([[1.23456, np.nan]], np.float32)) == [[1.2346, None]]


HOSTILE = [
    "</script><script>alert(1)</script>",
    "<!--<script>",
    "\u2028\u2029",
    "&lt;",
    "\ud800",
    "]]>",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_json_in_a_script_element_is_inert_and_lossless(text):
    encoded = json_for_script({text: [text]})
    assert not set("<>&\u2028\u2029") & set(encoded)
    assert json.loads(encoded) == {text: [text]}


def test_foreign_json_is_made_strict():
    deep: dict = {}
    for _ in range(50):
        deep = {"x": deep}
    cleaned = strict({"a": float("nan"), "b": [float("inf")], "deep": deep, "ok": 1.5})
    text = json_for_script(cleaned)
    assert json.loads(text)["a"] == "nan"
    assert (
        "…" in json.loads(text)["deep"]["x"]["x"]["x"]["x"]["x"]["x"]["x"]["x"]["x"]["x"].values()
    )
