import dataclasses
import json

import jsonschema
import pytest

from af3opt.output import run_record as rr
from af3opt.output.record_builder import RecordBuilder


def make_facts():
    return rr.RunFacts(
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


def make_builder(facts=None):
    job_input = rr.InputRecord(file="in.json", digest="ab", tokens=None, padded_tokens=None)
    return RecordBuilder(facts or make_facts(), name="job", job_input=job_input)


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


def on_host(name, **facts):
    host = dataclasses.replace(make_facts().host, name=name)
    return dataclasses.replace(make_facts(), host=host, **facts)


def run_process(path, facts, *seeds, status="incomplete", reason="", resume=True):
    """What a process does with the record; returns what it leaves."""
    builder = make_builder(facts)
    if resume:
        builder.take_over(path)
    for seed in seeds:
        builder.add_seed(make_seed(seed))
    stages = [rr.StageRecord(name="inference", seed=seed, seconds=1.0) for seed in seeds]
    builder.write(path, status=status, reason=reason, stages=stages)
    return read(path)


def test_each_seed_keeps_the_process_that_made_it(path):
    active = rr.OptimizationRecord(name="a", fidelity="exact", active=True)
    settings = rr.settings_record({"num_threads": 3, "key": "s3cret"}, {})
    first_facts = on_host("node1", optimizations=[active], settings=settings)
    first = run_process(path, first_facts, 1, reason="disk full", status="failed")
    second = run_process(path, on_host("node2"), 2, 3)
    third = run_process(path, on_host("node3"), 4, status="done")
    identifiers = [record["process"] for record in (first, second, third)]
    assert len(set(identifiers)) == 3
    assert [seed["process"] for seed in third["seeds"]] == [
        identifiers[0], *(identifiers[1],) * 2, identifiers[2],
    ]  # fmt: skip
    assert [process["process"] for process in third["earlier"]] == identifiers[:2]
    assert [process["host"]["name"] for process in third["earlier"]] == ["node1", "node2"]
    assert third["host"]["name"] == "node3"
    # Nothing that an earlier process said of itself is lost.
    for record, kept in zip((first, second), third["earlier"], strict=True):
        assert {name: record[name] for name in kept} == kept
    assert third["earlier"][0]["optimizations"][0]["name"] == "a"
    assert (third["earlier"][0]["status"], third["earlier"][0]["reason"]) == ("failed", "disk full")
    assert third["earlier"][1]["stages"][1]["seed"] == 3
    assert (third["status"], third["reason"]) == ("done", "")


def test_a_seed_that_is_made_again_is_of_the_process_that_made_it_last(path):
    run_process(path, on_host("node1"), 1, 2)
    builder = make_builder(on_host("node2"))
    builder.take_over(path)
    builder.keep_seeds([2])
    builder.add_seed(make_seed(1))
    builder.write(path, status="done")
    content = read(path)
    made = {seed["seed"]: seed["process"] for seed in content["seeds"]}
    assert made == {1: content["process"], 2: content["earlier"][0]["process"]}


def test_a_process_does_not_take_itself_over(path):
    builder = make_builder()
    builder.add_seed(make_seed(1))
    builder.write(path, status="incomplete")
    builder.take_over(path)
    builder.write(path, status="done")
    assert read(path)["earlier"] == []


def test_records_of_the_first_layout_are_taken_over(path):
    old = run_process(path, on_host("node1"), 1)
    old["format"] = "af3opt-run-record/1"
    del old["process"], old["earlier"], old["seeds"][0]["process"]
    path.write_text(json.dumps(old))
    content = run_process(path, on_host("node2"), 2, status="done")
    (earlier,) = content["earlier"]
    assert earlier["host"]["name"] == "node1"
    assert earlier["process"].startswith("before ")
    assert [seed["process"] for seed in content["seeds"]] == [
        earlier["process"], content["process"],
    ]  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "[]",
            "{}",
            '{"format": "other"}',
            '{"format": "af3opt-run-record/1", "seeds": [{}]}',
        ),
        *('{"format": "af3opt-run-record/2", "seeds": Infinity}', "[" * 50_000, '{"a":' * 50_000),
    ],
)
def test_unreadable_earlier_record_is_no_obstacle(path, text):
    path.write_text(text)
    builder = make_builder()
    builder.take_over(path, [1])
    builder.write(path, status="done")
    assert read(path)["seeds"] == []
