"""What stands under a script's calls, without an engine and without a model."""

import dataclasses
import functools
import json
import types

import numpy as np
import pytest
from absl import app

from af3opt.engine import script_class
from af3opt.engine.modules import source_digest
from af3opt.engine.outputs import SYNTHETIC_NOTE
from af3opt.execution.script import model as script_model
from af3opt.execution.script import record as script_record
from af3opt.execution.script import stages as script_stages
from af3opt.execution.script.model import ScriptModel
from af3opt.execution.script.record import ScriptRecords
from af3opt.execution.script.stages import PATCHES, ScriptStages
from af3opt.output.run_record import (
    EngineRecord,
    HostRecord,
    RunFacts,
    SampleRecord,
    read_run_record,
    record_path,
)


class ModelRunner:
    def __init__(self, config, device, model_dir):
        self._model_config = config
        self._device = device
        self._model_dir = model_dir

    @functools.cached_property
    def model_params(self):
        raise AssertionError("the engine's loader")

    @functools.cached_property
    def _model(self):
        raise AssertionError("the script's own model")

    def run_inference(self, featurised_example, rng_key):
        raise AssertionError("the script's own inference")


@pytest.fixture
def runner_class(monkeypatch):
    """A script's class that passes for upstream's."""
    names = dict(vars(ModelRunner))
    methods = {name: names[name] for name in script_class.KNOWN_METHODS}
    known = {
        name: frozenset({source_digest(getattr(method, "func", method))})
        for name, method in methods.items()
    }
    monkeypatch.setattr(script_class, "KNOWN_METHODS", known)
    return type("ModelRunner", (), names)


def made_stages(tmp_path, **values):
    return ScriptStages(**{"features": None, "msa": None, "model_dir": tmp_path} | values)


def made_model(tmp_path, inferred=lambda _seconds: None):
    return ScriptModel(
        engine=types.SimpleNamespace(fingerprint="f"),
        cache=None,
        optimizations=("one",),
        copy_weights=True,
        stages=made_stages(tmp_path),
        inferred=inferred,
    )


def test_upstreams_class_runs_on_our_runner(runner_class, tmp_path, monkeypatch):
    class Weights:
        def __init__(self, model_dir, device, *, use_copy, digest):
            self.made_of = (model_dir, device, use_copy)
            self.digest = digest

        def load(self):
            return types.SimpleNamespace(params={"scope": self.made_of[0]})

    class Ours:
        def __init__(self, compiler, weights):
            self.compiler, self.weights = compiler, weights

        def run_inference(self, batch, key):
            return {"batch": batch, "key": key}

    monkeypatch.setattr(script_model, "ModelRunner", Ours)
    monkeypatch.setattr(script_model, "ModelWeights", Weights)
    monkeypatch.setattr(script_model, "ModelCompiler", types.SimpleNamespace)
    seconds = []
    model = made_model(tmp_path, seconds.append)
    assert model.take_over({"ModelRunner": runner_class}) is None
    runner = runner_class("config", "cpu:0", str(tmp_path / "weights"))
    assert runner.model_params == {"scope": tmp_path / "weights"}
    assert runner.run_inference("features", 7) == {"batch": "features", "key": 7}
    assert len(seconds) == 1
    assert model.runner_of(runner) is model.runner_of(runner)
    assert model.stages.model_dir == tmp_path / "weights"
    ours = model.runner_of(runner)
    assert (ours.compiler.config, ours.compiler.device) == ("config", "cpu:0")
    assert ours.compiler.identity.optimizations == ("one",)
    assert ours.weights.made_of == (tmp_path / "weights", "cpu:0", True)
    # The digest is taken of the weights that are named by then.
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "af3.bin").write_bytes(b"weights")
    assert ours.weights.digest() == model.stages.weights_digest


@pytest.mark.parametrize("change", ["other", "none"])
def test_another_class_is_left_to_itself(runner_class, tmp_path, change):
    if change == "other":
        runner_class.run_inference = lambda self, batch, key: "its own"
        names = {"ModelRunner": runner_class}
    else:
        names = {}
    assert "ModelRunner" in made_model(tmp_path).take_over(names)
    if change == "other":
        assert runner_class(None, None, "").run_inference(None, None) == "its own"


def test_script_is_looked_at_when_it_starts_its_main(tmp_path, monkeypatch, caplog):
    calls = []
    monkeypatch.setattr(app, "run", lambda main, **named: calls.append((main, named)))
    outside = app.run
    with made_model(tmp_path).in_place():
        app.run(calls.clear, argv=["x"])
    assert app.run is outside
    assert calls == [(calls.clear, {"argv": ["x"]})]
    assert "the script has no class ModelRunner" in caplog.text


def batch(tokens, padded):
    return {"seq_mask": np.arange(padded) < tokens, "token_index": np.arange(padded)}


class Listener:
    def __init__(self):
        self.seen = []

    def featurised(self, fold_input, batches, seconds):
        self.seen.append((fold_input, list(batches)))


def test_features_come_from_our_stage_and_others_from_the_engine(tmp_path, monkeypatch):
    asked = []

    def engines(fold_input, ccd, buckets, resolve_msa_overlaps=True, flatten=True, verbose=False):
        asked.append(fold_input)
        return ["engine's"]

    def ours(fold_input, seeds, ccd, options, *, cache):
        # What the stage asks of the engine while it works goes to the engine's own.
        assert replaced(fold_input, ccd, None) == ["engine's"]
        yield from (
            (seed, f"{seed} {options.buckets} {options.resolve_msa_overlaps}") for seed in seeds
        )

    monkeypatch.setattr(script_stages, "featurise", ours)
    listener = Listener()
    stages = made_stages(tmp_path, listener=listener)
    replaced = script_stages._featurise_input(engines, stages)
    fold_input = types.SimpleNamespace(rng_seeds=[1, 2])
    made = replaced(
        fold_input=fold_input, ccd="ccd", buckets=[8], resolve_msa_overlaps=False, verbose=True
    )
    assert made == ["1 (8,) False", "2 (8,) False"]
    assert listener.seen == [(fold_input, made)]
    assert len(asked) == 1
    # An argument that the stage does not know, other than the engine would have it.
    assert replaced(fold_input, "ccd", [8], flatten=False) == ["engine's"]
    assert replaced(fold_input, "ccd", [8], flatten=True) == ["1 (8,) True", "2 (8,) True"]


def test_synthetic_weights_are_said_in_what_the_script_writes(tmp_path, monkeypatch):
    @dataclasses.dataclass(frozen=True, slots=True)
    class Processed:
        cif: bytes
        structure_confidence_summary_json: bytes

    def original(inference_result, *, keep_license=True):
        return Processed(b"data_x" + b"+" * keep_license, b'{"ptm": 0.5}')

    stages = made_stages(tmp_path)
    assert script_stages._post_process(original, stages)("r").cif == b"data_x+"
    monkeypatch.setattr(script_stages, "read_manifest", lambda _directory: "manifest")
    processed = script_stages._post_process(original, made_stages(tmp_path))(
        "r", keep_license=False
    )
    assert processed.cif == f"# {SYNTHETIC_NOTE}\ndata_x".encode()
    summary = json.loads(processed.structure_confidence_summary_json)
    assert summary == {"ptm": 0.5, "af3opt_note": SYNTHETIC_NOTE}


@pytest.mark.parametrize("kept", [True, False])
@pytest.mark.parametrize("name", ["process_protein_chain", "process_rna_chain"])
def test_searches_are_looked_up(tmp_path, kept, name):
    class Cache:
        def searched(self, search, chain):
            return f"{search(chain)}, looked up with {self.config}"

    class DataPipeline:
        def __init__(self, data_pipeline_config):
            self.config = data_pipeline_config

        def process(self, chain):
            return f"{chain} searched with {self.config}"

    stages = made_stages(tmp_path, msa=Cache() if kept else None)
    makes = {target.qualname: make for patch in PATCHES for target, make in patch.replacements}
    initialise = makes["DataPipeline.__init__"](DataPipeline.__init__, stages)
    search = makes[f"DataPipeline.{name}"](DataPipeline.process, stages)
    pipeline = object.__new__(DataPipeline)
    initialise(pipeline, data_pipeline_config="this")
    looked_up = ", looked up with this" if kept else ""
    assert search(pipeline, "A") == f"A searched with this{looked_up}"


FACTS = RunFacts(
    command=["af3opt"],
    engine=EngineRecord(distribution=None, version=None, fingerprint="f"),
    weights=None,
    host=HostRecord(
        name="h",
        cpu="c",
        cores=2,
        memory_limit_bytes=None,
        memory_limit_source="",
        gpu=None,
        slurm_job=None,
    ),
    backend=None,
    settings={},
)


def test_each_job_of_a_script_gets_a_record(tmp_path, monkeypatch):
    monkeypatch.setattr(script_record, "resolved_digest", lambda _input: "digest")
    monkeypatch.setattr(
        script_record,
        "ranked_sample_record",
        lambda index, directory, result: SampleRecord(
            index=index, directory=directory, ranking_score=result.score
        ),
    )
    records = ScriptRecords(lambda: FACTS, "in.json")

    def sample(score, x=1.0):
        structure = types.SimpleNamespace(coords=np.array([x, 2.0]))
        return types.SimpleNamespace(score=score, predicted_structure=structure)

    for name in ("first", "second"):
        job = tmp_path / name
        job.mkdir()
        fold_input = types.SimpleNamespace(name=name.upper(), rng_seeds=[7, 8])
        records.featurised(fold_input, [batch(5, 8), batch(5, 8)], 0.5)
        for seed in (7, 8):
            records.inferred(seed * 1.0)
        for seed in (7, 8):
            bad = name == "second" and seed == 8
            where = job / f"seed-{seed}_sample-0"
            records.written(sample(0.5, np.nan if bad else 1.0), where, f"{name}_seed-{seed}")
        records.written(sample(0.5), job, name)
        # What is written later is no job's.
        records.written(sample(0.5), job, "other")
    first = read_run_record(record_path(tmp_path / "first", "first"))
    assert (first.status, first.name, first.input.tokens, first.input.padded_tokens) == (
        "done", "FIRST", 5, 8,
    )  # fmt: skip
    assert [(stage.name, stage.seed, stage.seconds) for stage in first.stages] == [
        ("featurise", None, 0.5), ("inference", 7, 7.0), ("inference", 8, 8.0),
    ]  # fmt: skip
    assert [seed.samples[0].directory for seed in first.seeds] == [
        "seed-7_sample-0", "seed-8_sample-0",
    ]  # fmt: skip
    second = read_run_record(record_path(tmp_path / "second", "second"))
    assert (second.status, second.name) == ("excluded_samples", "SECOND")
    assert len(list(tmp_path.rglob("*_af3opt.json"))) == 2
