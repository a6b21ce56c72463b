"""A run records the scores of interfaces that anybody computes from its files."""

import csv
import io
import json

import jsonschema
import pytest

from af3opt import cli
from af3opt.base.json_files import to_json
from af3opt.output.run_record import load_schema
from af3opt.scores import collecting
from af3opt.scores.reading.layout import find_job_files
from af3opt.scores.samples import sample_scores

pytestmark = pytest.mark.engine

INPUT = {
    "dialect": "alphafold3",
    "version": 1,
    "name": "mixed",
    "modelSeeds": [1, 2],
    "sequences": [
        {"protein": {"id": "A", "sequence": "MQIFVKTL", "unpairedMsa": "", "pairedMsa": "",
                     "modifications": [{"ptmType": "SEP", "ptmPosition": 4}], "templates": []}},
        {"protein": {"id": "B", "sequence": "GSHMK", "unpairedMsa": "", "pairedMsa": "",
                     "templates": []}},
        {"dna": {"id": "C", "sequence": "ACG"}},
        {"ligand": {"id": "D", "ccdCodes": ["MG"]}},
    ],
}  # fmt: skip


@pytest.fixture
def job(runs, tmp_path):
    path = tmp_path / "mixed.json"
    path.write_text(json.dumps(INPUT))
    assert runs.run(path, tmp_path / "out", "--buckets=64") == 0, runs.output
    return tmp_path / "out" / "mixed"


def test_the_record_has_what_the_files_say(job, capfd, monkeypatch):
    files = find_job_files(job)
    record = json.loads(files.record.read_text())
    jsonschema.Draft202012Validator(load_schema()).validate(record)
    recorded = {
        (seed["seed"], sample["index"]): sample["interface_scores"]
        for seed in record["seeds"]
        for sample in seed["samples"]
    }
    computed = {
        (sample.seed, sample.sample): json.loads(to_json(sample_scores(sample)))
        for sample in files.samples
    }
    assert recorded == computed
    assert len(recorded) == 2
    (first, *_) = recorded.values()
    chains = ["".join(entry["chains"]) for entry in first["interfaces"]]
    assert chains == ["AB", "AC", "AD", "BC", "BD", "CD"]
    assert first["interfaces"][0]["ipsae_ab"] is not None
    # What is recorded is not computed again.
    monkeypatch.setattr(collecting, "sample_scores", None)
    capfd.readouterr()
    assert cli.main(["collect", str(job.parent), "--all_interfaces"]) == 0
    rows = list(csv.DictReader(io.StringIO(capfd.readouterr().out)))
    assert len(rows) == 2 * 6
    assert all(row["contacts"] for row in rows)


def test_without_a_record_nothing_is_scored(runs, tmp_path):
    path = tmp_path / "mixed.json"
    path.write_text(json.dumps(INPUT | {"modelSeeds": [1]}))
    assert runs.run(path, tmp_path / "out", "--buckets=64", "--norun_record") == 0, runs.output
    assert find_job_files(tmp_path / "out" / "mixed").record is None
