import datetime
import json
from pathlib import Path

import jsonschema
import pytest

from af3opt.output import run_record as rr


def make_record(**changes):
    started = datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.UTC)
    parts = {
        "name": 'odd <script>alert("x")</script> näme',
        "status": "done",
        "command": ["af3opt", "run", "--json_path=in.json"],
        "started": started,
        "ended": started + datetime.timedelta(seconds=90),
        "input": rr.InputRecord(file="in.json", digest="ab12", tokens=76, padded_tokens=80),
        "engine": rr.EngineRecord(distribution="alphafold3", version="3", fingerprint="00ff"),
        "weights": rr.WeightsRecord(directory="/models", digest="12ab", synthetic=True),
        "host": rr.HostRecord(
            name="node1", cpu="Some CPU", cores=4, memory_limit_bytes=None,
            memory_limit_source="unknown", gpu=None, slurm_job="17",
        ),
        "backend": rr.BackendRecord(name="cpu", device="cpu:0", flash_attention="xla"),
        "settings": rr.settings_record(
            {"buckets": (64, 128), "model_dir": Path("/models"), "seed": None},
            {"buckets": "flag"},
        ),
        "environment": [
            rr.VariableRecord(name="XLA_FLAGS", value="--a", reason="faster", origin="af3opt")
        ],
        "optimizations": [
            rr.OptimizationRecord(name="trim_msa", fidelity="reordered", active=True)
        ],
        "caches": [rr.CacheRecord(name="features", hits=1, misses=0, seconds_saved=12.5)],
        "stages": [rr.StageRecord(name="inference", seed=1, seconds=3.0, host_peak_bytes=5)],
        "seeds": [
            rr.SeedRecord(
                seed=1,
                numerics={
                    "seed": 1, "ok": False, "bad_samples": [1], "stage": None,
                    "arrays": [
                        {"path": "full_pae", "nan": [0, 2], "infinite": [0, 0], "per_sample": True}
                    ],
                },
                samples=[
                    rr.SampleRecord(index=0, directory="seed-1_sample-0", ranking_score=0.5),
                    rr.SampleRecord(
                        index=1, directory="seed-1_sample-1_nonfinite",
                        ranking_score=float("nan"), ranked=False, finite=False,
                    ),
                ],
            )
        ],
    }  # fmt: skip
    return rr.RunRecord(**(parts | changes))


@pytest.fixture(scope="module")
def validator():
    schema = rr.load_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def test_written_record_fits_the_schema(tmp_path, validator):
    path = rr.record_path(tmp_path, "job")
    rr.write_run_record(make_record(), path)
    assert path.name == "job_af3opt.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    validator.validate(content)
    assert content["seconds"] == 90
    assert content["settings"]["buckets"] == {"value": [64, 128], "source": "flag"}
    assert content["settings"]["seed"]["source"] == "default"
    assert content["seeds"][0]["samples"][1]["ranking_score"] is None
    assert content["name"].startswith("odd <script>")


def test_job_without_inference_fits_the_schema(validator):
    validator.validate(
        make_record(weights=None, backend=None, seeds=[], status="incomplete").as_json()
    )


def test_schema_refuses_unknown_fields_and_states(validator):
    content = make_record().as_json()
    for changed in ({**content, "extra": 1}, {**content, "status": "fine"}):
        with pytest.raises(jsonschema.ValidationError):
            validator.validate(changed)


def test_secrets_are_hidden():
    record = make_record(
        command=["af3opt", "run", "--auth_token=abc", "--cache=https://me:pw@host/x"],
        environment=[
            rr.VariableRecord(name="AF3OPT_API_KEY", value="abc", reason="", origin="exported")
        ],
        settings=rr.settings_record({"password": "abc", "keys": 3}, {}),
    )
    content = record.as_json()
    assert content["command"][2:] == ["--auth_token=(hidden)", "--cache=https://(hidden)@host/x"]
    assert content["environment"][0]["value"] == "(hidden)"
    assert content["settings"]["password"]["value"] == "(hidden)"
    assert content["settings"]["keys"]["value"] == 3


def test_versions_name_what_computes_results():
    versions = rr.package_versions()
    assert versions["numpy"]
    assert set(versions) >= {"af3opt", "python", "jax", "jaxlib", "dm-haiku", "tokamax", "rdkit"}


def test_failed_write_leaves_the_old_record(tmp_path):
    path = rr.record_path(tmp_path, "job")
    rr.write_run_record(make_record(), path)
    before = path.read_bytes()
    circular = {}
    circular["self"] = circular
    with pytest.raises(RecursionError):
        rr.write_run_record(make_record(seeds=[rr.SeedRecord(seed=1, numerics=circular)]), path)
    assert path.read_bytes() == before
