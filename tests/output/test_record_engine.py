"""One seed through the real model: stages, checks, sample directories and the record."""

import json
import os

import jsonschema
import pytest

from af3opt.engine.discovery import find_engine
from af3opt.environment.backend import resolve_backend
from af3opt.host.host import probe_host
from af3opt.inference.model_runner import create_model_runner
from af3opt.memory import MemoryManager
from af3opt.numerics import NumericsHandler, infer_checked
from af3opt.numerics.extraction import extract_samples
from af3opt.numerics.safer import safer_numerics
from af3opt.output import record_parts, run_record
from af3opt.output.record_builder import RecordBuilder
from af3opt.progress import LearnedTimes, Reporter, Workload
from af3opt.progress.stages import EXTRACT, FEATURISE, INFERENCE

pytestmark = [pytest.mark.engine, pytest.mark.slow]

INPUT = {
    "name": "<b>short & sweet</b>",
    "modelSeeds": [3],
    "dialect": "alphafold3",
    "version": 2,
    "sequences": [
        {"protein": {"id": "A", "sequence": "MQIFVKTLTG", "unpairedMsa": "", "pairedMsa": "",
                     "templates": []}},
    ],
}  # fmt: skip


@pytest.fixture
def record(small_weights, engine_input, tmp_path):
    """Does what a run does and returns the record it leaves."""
    source = engine_input(
        INPUT,
        *(f"--model_dir={small_weights}", "--num_recycles=1"),
        *("--num_diffusion_samples=2", "--num_diffusion_steps=4"),
    )
    settings, fold_input = source.settings, source.fold_input
    host = probe_host(os.environ)
    backend = resolve_backend(settings, host)
    engine = find_engine()
    runner = create_model_runner(engine, settings, backend.name)
    facts = run_record.RunFacts(
        command=["af3opt"],
        engine=record_parts.engine_record(engine),
        weights=run_record.WeightsRecord(
            directory=str(small_weights), digest=runner.weights.load().sha256, synthetic=True
        ),
        host=record_parts.host_record(host, backend),
        backend=record_parts.backend_record(backend, runner.device),
        settings=record_parts.all_settings(settings),
    )
    reporter = Reporter(
        memory=MemoryManager(host.memory, device=runner.device),
        learned=LearnedTimes(tmp_path / "times.json"),
    )
    job_input = run_record.InputRecord(
        file=str(source.path), digest="0", tokens=None, padded_tokens=None
    )
    builder = RecordBuilder(facts, name=fold_input.name, job_input=job_input)
    job = reporter.job_started(fold_input.name)
    job.workload = Workload(device="cpu", tokens=16, samples=2, recycles=1, steps=4)
    with job.stage(FEATURISE, 3):
        batch = source.featurise(16)
    with job.stage(INFERENCE, 3):
        checked = infer_checked(
            lambda: runner.run_inference(batch, 3),
            batch,
            seed=3,
            handler=NumericsHandler(),
            safer=safer_numerics(runner.config),
            infer_safer=lambda changes: runner.run_inference(batch, 3),
        )
    with job.stage(EXTRACT, 3) as words:
        extracted = extract_samples(checked, batch, fold_input.name)
        words["samples"] = len(extracted.ranked)
    samples = [
        record_parts.ranked_sample_record(index, f"seed-3_sample-{index}", sample)
        for index, sample in extracted.ranked.items()
    ]
    builder.set_tokens(10, 16)
    builder.add_seed(record_parts.seed_record(checked, samples))
    job.finished(tmp_path)
    path = run_record.record_path(tmp_path, "short")
    builder.write(path, status="done", stages=job.stage_records(), caches=job.cache_records())
    return json.loads(path.read_text())


def test_record_of_a_real_seed(record):
    jsonschema.Draft202012Validator(run_record.load_schema()).validate(record)
    assert record["name"] == INPUT["name"]
    assert record["status"] == "done"
    assert record["weights"]["synthetic"]
    assert record["settings"]["num_recycles"] == {"value": 1, "source": "flag"}
    assert {stage["name"] for stage in record["stages"]} == {"featurise", "inference", "extract"}
    assert all(stage["host_peak_bytes"] > 100 << 20 for stage in record["stages"])
    (seed,) = record["seeds"]
    assert seed["numerics"]["ok"]
    assert seed["attempts"] == 1
    assert [sample["index"] for sample in seed["samples"]] == [0, 1]
    assert all(sample["plausibility"] is not None for sample in seed["samples"])
