"""What pages and tables are given of interfaces."""

import base64
import csv
import io
import zlib

import numpy as np
import pytest

from af3opt.report.batch import batch_row
from af3opt.report.job import load_job
from af3opt.report.payload import job_payload
from af3opt.report.tables import scores_csv
from af3opt.scores.samples import sample_scores
from tests.scores.batches import write_job
from tests.scores.models import helix, heterodimer, protein_dna, sequence


@pytest.fixture
def job(tmp_path):
    return load_job(write_job(tmp_path, "x", protein_dna(), (0.9, 0.5)), 25)


def test_shown_scores_are_those_that_are_recorded(job):
    for sample in job.samples:
        recorded = sample_scores(sample.files).interfaces
        assert tuple(shown.scores for shown in sample.interfaces) == recorded


def test_residues_of_the_payload_are_in_the_two_chains(job):
    sample = job.samples[0]
    topology = sample.structure.topology
    payload = job_payload(job)["samples"][0]["interfaces"]
    assert [entry["chains"] for entry in payload[:2]] == [["A", "B"], ["A", "C"]]
    for entry in payload:
        raw = zlib.decompress(base64.b64decode(entry["residues"]))
        pairs = np.frombuffer(raw, "<i4").reshape(2, -1)
        assert pairs.shape[1] == entry["contacts"]
        for residues, chain in zip(pairs, entry["chains"], strict=True):
            owners = {topology.chain_ids[topology.residue_chain[index]] for index in residues}
            assert owners <= {chain}


def test_payload_has_both_directions_and_nothing_where_undefined(job):
    entries = {tuple(e["chains"]): e for e in job_payload(job)["samples"][0]["interfaces"]}
    dna, ligand = entries["A", "B"], entries["A", "D"]
    assert 0 < dna["ipsae_min"] < dna["ipsae_max"]
    assert dna["pdockq2"] is None
    assert ligand["ipsae_min"] is None
    assert ligand["pair_iptm"] is not None


def test_samples_beyond_the_number_shown_have_no_interfaces(tmp_path):
    job = load_job(write_job(tmp_path, "x", heterodimer(), (0.9, 0.5)), 1)
    assert [len(sample.interfaces) for sample in job.samples] == [1, 0]
    assert job_payload(job)["samples"][1]["interfaces"] == []


def test_batch_row_shows_the_best_samples_main_interface(tmp_path):
    job = load_job(write_job(tmp_path, "x", heterodimer(), (0.5, 0.9)), 1)
    scores = job.samples[0].interfaces[0].scores
    row = batch_row(job, None)
    assert (row["interface"], row["ipsae"]) == ("A:B", scores.smaller("ipsae"))
    assert row["ilis"] == scores.ilis
    single = load_job(write_job(tmp_path, "y", helix("A", sequence(20), [0, 0, 0]), (0.5,)), 1)
    assert batch_row(single, None)["interface"] is None


def test_csv_has_the_columns_of_the_table_of_scores(tmp_path):
    job = load_job(write_job(tmp_path, "x", heterodimer(), (0.9, 0.5)), 1)
    best, other = csv.DictReader(io.StringIO(scores_csv([job])))
    assert best["interface"] == "A:B"
    assert float(best["buried_area"]) == job.samples[0].interfaces[0].scores.buried_area
    assert other["interface"] == other["ipsae_min"] == ""


def test_scores_stay_when_the_contacts_go(job):
    shown = job.samples[0].interfaces[0]
    bare = shown.without_contacts()
    assert bare.scores == shown.scores
    assert len(bare.contacts) == 0
    assert len(shown.contacts) == shown.scores.contacts
