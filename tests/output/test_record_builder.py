import json

import jsonschema
import pytest

from af3opt.output import run_record as rr
from af3opt.output.record_builder import RecordBuilder, RunFacts


def make_facts():
    return RunFacts(
        command=["af3opt", "run"],
        engine=rr.EngineRecord(distribution=None, version=None, fingerprint="00ff"),
        weights=None,
        host=rr.HostRecord(
            name="node1", cpu="Some CPU", cores=4, memory_limit_bytes=1,
            memory_limit_source="cgroup", gpu=None, slurm_job=None,
        ),
        backend=None,
        settings={},
    )  # fmt: skip


def make_builder():
    job_input = rr.InputRecord(file="in.json", digest="ab", tokens=None, padded_tokens=None)
    return RecordBuilder(make_facts(), name="job", job_input=job_input)


def make_seed(seed, *, finite=True):
    sample = rr.SampleRecord(
        index=0,
        directory=f"seed-{seed}_sample-0",
        ranking_score=0.5 if finite else None,
        ranked=finite,
        finite=finite,
    )
    return rr.SeedRecord(seed=seed, numerics=None, samples=[sample])


@pytest.fixture
def path(tmp_path):
    return rr.record_path(tmp_path, "job")


def read(path):
    content = json.loads(path.read_text())
    jsonschema.Draft202012Validator(rr.load_schema()).validate(content)
    return content


def test_record_grows_with_the_job(path):
    builder = make_builder()
    builder.set_tokens(76, 80)
    builder.add_seed(make_seed(1))
    builder.write(path, status="incomplete")
    assert read(path)["status"] == "incomplete"
    builder.add_seed(make_seed(2))
    builder.write(path, status="done")
    content = read(path)
    assert content["status"] == "done"
    assert [seed["seed"] for seed in content["seeds"]] == [1, 2]
    assert content["input"]["padded_tokens"] == 80


def test_set_apart_samples_show_in_the_status(path):
    builder = make_builder()
    builder.add_seed(make_seed(1, finite=False))
    builder.write(path, status="done")
    assert read(path)["status"] == "excluded_samples"
    builder.write(path, status="failed", reason="disk full")
    assert (read(path)["status"], read(path)["reason"]) == ("failed", "disk full")


def test_seeds_of_an_earlier_process_are_kept(path):
    builder = make_builder()
    builder.add_seed(make_seed(1))
    builder.add_seed(make_seed(2))
    builder.write(path, status="incomplete")
    later = make_builder()
    later.take_over(path, [1])
    later.add_seed(make_seed(3))
    later.write(path, status="done")
    content = read(path)
    assert [seed["seed"] for seed in content["seeds"]] == [1, 3]
    assert content["seeds"][0]["samples"][0]["ranking_score"] == 0.5


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"format": "other"}', '{"format": "af3opt-run-record/1", "seeds": [{}]}'],
)
def test_unreadable_earlier_record_is_no_obstacle(path, text):
    path.write_text(text)
    builder = make_builder()
    builder.take_over(path, [1])
    builder.write(path, status="done")
    assert read(path)["seeds"] == []
