import json
import math
import shutil
from importlib import resources

import numpy as np
import pytest

from af3opt.report.job import load_job
from af3opt.scores.reading.layout import find_job_directories, find_job_files, is_job_directory
from tests.report.synthetic_job import SyntheticJob, write_job

SCHEMA = "run_record.schema.json"


@pytest.fixture
def job_dir(tmp_path):
    return write_job(tmp_path, SyntheticJob(residues=30, seeds=(1, 12), samples=2))


@pytest.mark.parametrize("old_layout", [False, True])
@pytest.mark.parametrize("compress", [False, True])
def test_every_layout_of_upstream_is_read_whole(tmp_path, old_layout, compress):
    job = SyntheticJob(residues=30, old_layout=old_layout, compress=compress)
    loaded = load_job(write_job(tmp_path, job), 25)
    assert loaded.problems == []
    assert [sample.missing for sample in loaded.samples] == [[], []]
    best = loaded.samples[0]
    assert best.rank == 1
    assert best.pae is not None
    assert best.pae.tokens == len(best.tokens) == len(best.token_plddt)
    assert best.structure.topology.chain_kinds == ("protein", "protein", "DNA", "ligand", "ligand")
    assert [chain.kind for chain in loaded.chains] == [
        "protein", "protein", "DNA", "ligand", "ligand",
    ]  # fmt: skip


def test_samples_are_ordered_by_ranking_score(job_dir):
    job = load_job(job_dir, 25)
    scores = [sample.ranking_score for sample in job.samples]
    assert scores == sorted(scores, reverse=True)
    assert [sample.rank for sample in job.samples] == [1, 2, 3, 4]


def test_token_plddt_is_the_mean_of_a_residue_and_the_value_of_a_ligand_atom(job_dir):
    sample = load_job(job_dir, 25).samples[0]
    topology, b_factors = sample.structure.topology, sample.structure.b_factors
    first = b_factors[topology.atom_residue == 0].mean()
    assert sample.token_plddt[0] == pytest.approx(first, abs=0.01)
    ligand = int(np.flatnonzero(sample.tokens.atom >= 0)[0])
    assert sample.token_plddt[ligand] == b_factors[sample.tokens.atom[ligand]]
    assert topology.atom_names[sample.tokens.atom[ligand]] == "C1"


def test_only_the_best_samples_are_loaded_whole(job_dir):
    job = load_job(job_dir, 1)
    assert [sample.structure is not None for sample in job.samples] == [True, False, False, False]
    assert all(sample.ranking_score is not None for sample in job.samples)


def test_single_chain_has_no_iptm_and_that_is_no_flaw(tmp_path):
    job = load_job(write_job(tmp_path, SyntheticJob(residues=20, single_chain=True)), 25)
    assert job.samples[0].scores.iptm is None
    assert job.samples[0].flags == []
    assert job.problems == []


def test_marked_samples_are_not_ranked(job_dir):
    (job_dir / "seed-1_sample-0").rename(job_dir / "seed-1_sample-0_nonfinite")
    job = load_job(job_dir, 25)
    marked = job.samples[-1]
    assert marked.rank is None
    assert "marked 'nonfinite', not ranked" in marked.flags


def test_values_that_are_not_finite_are_flagged_and_never_replaced(job_dir):
    inner = job_dir / "seed-1_sample-1"
    path = inner / "demo_seed-1_sample-1_confidences.json"
    values = json.loads(path.read_text())
    values["pae"][0][1] = None
    values["pae"][2][2] = math.nan
    values["atom_plddts"][0] = None
    path.write_text(json.dumps(values))
    model = inner / "demo_seed-1_sample-1_model.cif"
    lines = model.read_text().splitlines()
    row = next(i for i, line in enumerate(lines) if line.startswith("ATOM 1 "))
    fields = lines[row].split()
    fields[10] = "nan"
    lines[row] = " ".join(fields)
    model.write_text("\n".join(lines))
    sample = next(s for s in load_job(job_dir, 25).samples if s.files.label == inner.name)
    assert sample.flags[-3:] == [
        "atoms without finite coordinates: 1",
        "atoms without pLDDT: 1",
        "PAE entries that are not finite: 2",
    ]
    assert sample.pae.values[0, 1] == sample.pae.values[2, 2] == 255


def test_samples_that_the_ranking_does_not_list_are_not_ranked(job_dir):
    table = job_dir / "demo_ranking_scores.csv"
    kept = [line for line in table.read_text().splitlines() if not line.startswith("1,")]
    table.write_text("\n".join(kept) + "\n")
    samples = {sample.files.label: sample for sample in load_job(job_dir, 25).samples}
    assert samples["seed-1_sample-0"].rank is None
    assert "not in the ranking table, not ranked" in samples["seed-1_sample-0"].flags
    assert {samples["seed-12_sample-0"].rank, samples["seed-12_sample-1"].rank} == {1, 2}


def test_directory_with_only_the_top_ranked_copies(job_dir):
    for directory in job_dir.glob("seed-*"):
        shutil.rmtree(directory)
    job = load_job(job_dir, 25)
    assert [sample.files.label for sample in job.samples] == ["top-ranked"]
    assert job.samples[0].structure is not None


def test_each_missing_or_damaged_file_is_named(job_dir):
    (job_dir / "demo_data.json").write_text('{"name": "demo", ')
    (job_dir / "demo_ranking_scores.csv").write_text("a,b\n1,2\n")
    (job_dir / "demo_model.cif").unlink()
    broken = job_dir / "seed-1_sample-0"
    (broken / "demo_seed-1_sample-0_model.cif").write_bytes(b"\xff\x00")
    (broken / "demo_seed-1_sample-0_confidences.json").unlink()
    (broken / "demo_seed-1_sample-0_summary_confidences.json").write_text("[]")
    job = load_job(job_dir, 25)
    assert job.problems == [
        "demo_data.json: broken JSON at line 1",
        "demo_ranking_scores.csv: no columns seed, sample, ranking_score",
        "demo_model.cif: missing (copy of the best sample)",
    ]
    damaged = next(s for s in job.samples if s.files.label == broken.name)
    assert damaged.missing == [
        "confidences.json: missing",
        "summary_confidences.json: not a JSON object",
        "model.cif: no column _atom_site.label_atom_id; truncated or not an mmCIF file",
    ]


def test_data_pipeline_only_is_a_job_without_structures(tmp_path):
    (tmp_path / "x_data.json").write_text('{"name": "x"}')
    assert is_job_directory(tmp_path)
    assert "no predicted structures yet" in load_job(tmp_path, 25).problems


def test_half_written_directories_and_unrelated_ones_are_not_jobs(tmp_path):
    write_job(tmp_path, SyntheticJob(residues=20))
    (tmp_path / ".x.af3opt-tmp-1-abc").mkdir()
    (tmp_path / ".x.af3opt-tmp-1-abc" / "x_data.json").write_text("{}")
    (tmp_path / "notes").mkdir()
    assert [path.name for path in find_job_directories(tmp_path)] == ["demo"]


def test_names_written_inside_files_lead_nowhere(tmp_path):
    directory = write_job(tmp_path, SyntheticJob(residues=20))
    data = json.loads((directory / "demo_data.json").read_text())
    data["name"] = "../../etc/passwd"
    (directory / "demo_data.json").write_text(json.dumps(data))
    job = load_job(directory, 25)
    assert job.name == "../../etc/passwd"
    assert job.files.prefix == "demo"
    assert find_job_files(directory).directory == directory


def test_synthetic_weights_are_noticed_wherever_they_are_noted(tmp_path, job_dir):
    assert not load_job(job_dir, 25).synthetic
    marked = write_job(tmp_path / "a", SyntheticJob(residues=20, synthetic=True))
    assert load_job(marked, 25).synthetic
    for summary in marked.rglob("*summary_confidences.json"):
        summary.unlink()
    assert load_job(marked, 25).synthetic  # from the structure's comment
    (job_dir / "demo_af3opt.json").write_text('{"weights": {"synthetic": true}}')
    assert load_job(job_dir, 25).synthetic


def sample_entry(index, **changes):
    plausible = {
        "clashing_atom_pairs": 0, "inverted_ligands": [], "inverted_amino_acids": 0,
        "torn_bonds": 0,
    }  # fmt: skip
    entry = {"index": index, "ranked": True, "finite": True, "plausibility": plausible}
    return entry | changes


def test_run_record_adds_its_verdicts(job_dir):
    doubtful = {"clashing_atom_pairs": 2, "inverted_ligands": ["D"], "torn_bonds": 1}
    seeds = [
        {"seed": 1, "safer_numerics": "float32 trunk", "samples": [
            sample_entry(0, plausibility=doubtful), sample_entry(1, ranked=False, finite=False)]},
        {"seed": 12, "safer_numerics": "", "samples": [sample_entry(0), sample_entry(1)]},
    ]  # fmt: skip
    record = {"status": "excluded_samples", "reason": "1 sample", "seeds": seeds}
    (job_dir / "demo_af3opt.json").write_text(json.dumps(record))
    job = load_job(job_dir, 25)
    assert job.problems == [
        "samples with values that are not finite were left out of the ranking: 1 sample"
    ]
    by_label = {sample.files.label: sample for sample in job.samples}
    safer = "computed again in safer numerics (float32 trunk)"
    assert by_label["seed-1_sample-0"].flags == [
        "clashing pairs of polymer atoms: 2",
        "broken bonds along chains: 1",
        "ligands of the wrong hand: D",
        safer,
    ]
    assert by_label["seed-1_sample-1"].flags == ["values that are not finite", safer]
    assert by_label["seed-1_sample-1"].rank is None
    assert by_label["seed-12_sample-0"].flags == []


@pytest.mark.parametrize(
    "record",
    ["{", "[]", '{"status": ["done"], "seeds": {"a": 1}}',
     '{"seeds": [7, {"seed": "x", "samples": [{"index": []}, null]}, {"samples": 3}]}',
     '{"seeds": [{"seed": 1, "samples": [{"index": 0, "plausibility": {"torn_bonds": "many"}}]}]}'],
)  # fmt: skip
def test_run_record_of_any_shape_is_survived(job_dir, record):
    without = [sample.flags for sample in load_job(job_dir, 25).samples]
    (job_dir / "demo_af3opt.json").write_text(record)
    assert [sample.flags for sample in load_job(job_dir, 25).samples] == without


def test_fields_read_from_the_record_are_those_of_its_schema():
    schema = json.loads(resources.files("af3opt.output").joinpath(SCHEMA).read_text())["properties"]
    seed = schema["seeds"]["items"]["properties"]
    sample = seed["samples"]["items"]["properties"]
    stage = schema["stages"]["items"]["properties"]
    assert {"status", "reason", "seconds", "optimizations", "caches", "host"} <= set(schema)
    assert {"failed", "incomplete", "excluded_samples"} <= set(schema["status"]["enum"])
    assert {"seed", "safer_numerics"} <= set(seed)
    assert {"index", "ranked", "finite", "plausibility"} <= set(sample)
    assert set(sample_entry(0)["plausibility"]) == set(sample["plausibility"]["properties"])
    assert {"name", "seconds", "host_peak_bytes", "device_peak_bytes"} <= set(stage)
