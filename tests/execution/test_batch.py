"""Batches with a stubbed device step: resume, failures, signals, and what the disk does."""

import importlib.metadata
import json
import os
import re
import shutil
import signal
import time

import pytest

from af3opt.base.errors import ExitCode
from tests.engine.trees import differences
from tests.execution import stub
from tests.execution.conftest import RESIDUES, leftovers, wait_for, write_input

pytestmark = pytest.mark.engine


def refuse_models(*_arguments, **_options):
    raise AssertionError("a finished batch needs no model")


def test_a_finished_batch_loads_nothing(runs, inputs, tmp_path):
    assert runs.run(inputs, tmp_path / "out") == ExitCode.OK
    assert len(runs.steps()) == 12
    assert [f"({number}/4)" in runs.output for number in range(1, 6)] == [True] * 4 + [False]

    def no_model():
        stub.make_stub_runner = refuse_models
        from af3opt.execution.job import session

        session.bootstrap_engine = refuse_models

    assert runs.run(inputs, tmp_path / "out", before=no_model) == ExitCode.OK
    assert "4 already_done" in runs.output
    assert len(runs.steps()) == 12


@pytest.mark.parametrize("threads", [1, 3])
def test_overlapped_writes_the_same_tree(runs, inputs, tmp_path, threads):
    assert runs.run(inputs, tmp_path / "serial", "--overlap=off") == ExitCode.OK
    serial = [step[1:] for step in runs.steps()]
    flags = ("--overlap=on", f"--featurise_workers={threads}")
    assert runs.run(inputs, tmp_path / "overlapped", *flags) == ExitCode.OK
    assert [step[1:] for step in runs.steps()[len(serial) :]] == serial
    assert differences(tmp_path / "overlapped", tmp_path / "serial") == []


def test_one_bad_job_stops_no_other_featurised_with_it(runs, inputs, tmp_path):
    def before():
        from af3opt.engine.refusals import EngineRefusalError
        from af3opt.features.featurise import JobFeatures

        features = JobFeatures.features

        def failing(self, seed, upcoming=()):
            if seed == 12:
                raise EngineRefusalError("no such component")
            return features(self, seed, upcoming)

        JobFeatures.features = failing

    flags = ("--overlap=on", "--featurise_workers=3")
    assert runs.run(inputs, tmp_path / "out", *flags, before=before) == ExitCode.SOME_FAILED
    (failed,) = json.loads((tmp_path / "out" / "failed.json").read_text())
    assert failed["name"] == "job1"
    assert "job1.json: cannot be featurised: no such component" in failed["reason"]
    assert {seed for _, _, seed in runs.steps()} >= {1, 2, 3, 21, 22, 23, 31, 32, 33}


def test_only_what_is_missing_is_done(runs, inputs, tmp_path):
    output = tmp_path / "out"
    runs.run(inputs, output)
    shutil.rmtree(output / "job1" / "seed-12_sample-0")
    write_input(inputs, "job2", [21, 22, 23, 99], RESIDUES[:7])
    assert runs.run(inputs, output) == ExitCode.OK
    assert sorted(seed for _, _, seed in runs.steps()[12:]) == [12, 99]
    table = (output / "job2" / "job2_ranking_scores.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in table] == ["seed", "21", "22", "23", "99"]
    data = json.loads((output / "job2" / "job2_data.json").read_text())
    assert data["modelSeeds"] == [21, 22, 23, 99]


def test_another_setting_is_another_run_and_is_explained(runs, inputs, tmp_path):
    output = tmp_path / "out"
    runs.run(inputs / "job0.json", output)
    code = runs.run(inputs / "job0.json", output, "--num_recycles=3", "--explain_resume")
    assert code == ExitCode.OK
    assert "num_recycles: 10 -> 3" in runs.output
    assert len(runs.steps()) == 6
    assert len([path for path in output.glob("job0*") if path.is_dir()]) == 2
    # Each of the two runs is known by itself afterwards.
    assert runs.run(inputs / "job0.json", output, "--num_recycles=3") == ExitCode.OK
    assert runs.run(inputs / "job0.json", output) == ExitCode.OK
    assert len(runs.steps()) == 6


def test_another_version_is_another_run_and_is_explained(runs, inputs, tmp_path):
    def newer_jax():
        from af3opt.execution.job import session

        known = session.deciding_versions()
        session.deciding_versions = lambda: {**known, "jax": "99.0"}

    output = tmp_path / "out"
    runs.run(inputs / "job0.json", output)
    flags = ("--explain_resume",)
    assert runs.run(inputs / "job0.json", output, *flags, before=newer_jax) == ExitCode.OK
    installed = importlib.metadata.version("jax")
    assert f'jax: "{installed}" -> "99.0"' in runs.output
    assert len(runs.steps()) == 6
    assert len([path for path in output.glob("job0*") if path.is_dir()]) == 2
    # Each of the two runs is known by itself afterwards.
    assert runs.run(inputs / "job0.json", output) == ExitCode.OK
    assert runs.run(inputs / "job0.json", output, before=newer_jax) == ExitCode.OK
    assert len(runs.steps()) == 6


def test_another_variable_that_changes_results_is_another_run_and_is_explained(
    runs, inputs, tmp_path
):
    def other_draws():
        os.environ["JAX_RANDOM_SEED_OFFSET"] = "7"

    output = tmp_path / "out"
    runs.run(inputs / "job0.json", output)
    flags = ("--explain_resume",)
    assert runs.run(inputs / "job0.json", output, *flags, before=other_draws) == ExitCode.OK
    assert 'JAX_RANDOM_SEED_OFFSET: null -> "7"' in runs.output
    assert len(runs.steps()) == 6
    (other,) = (path for path in output.glob("job0_*") if path.is_dir())
    (record,) = other.glob("*_af3opt.json")
    environment = json.loads(record.read_text())["environment"]
    assert ("JAX_RANDOM_SEED_OFFSET", "7") in {(one["name"], one["value"]) for one in environment}
    assert runs.run(inputs / "job0.json", output, before=other_draws) == ExitCode.OK
    assert len(runs.steps()) == 6


def test_noresume_does_everything_again_in_a_stamped_directory(runs, inputs, tmp_path):
    output = tmp_path / "out"
    runs.run(inputs / "job0.json", output, "--noresume")
    runs.run(inputs / "job0.json", output, "--noresume")
    assert len(runs.steps()) == 6
    assert not list(output.glob(".af3opt/jobs/*"))
    assert len([path for path in output.glob("job0*") if path.is_dir()]) == 2


@pytest.mark.parametrize(
    ("name", "flags"),
    [
        ("..", ("--noresume", "--force_output_dir")),
        *((name, ()) for name in (".", ".af3opt", "failed.json", "af3opt_report.html")),
    ],
)
def test_a_name_leads_to_no_directory_but_the_jobs_own(runs, inputs, tmp_path, name, flags):
    path = write_input(inputs, "job9", [1])
    path.write_text(path.read_text().replace('"job9"', f'"{name}"'))
    output = tmp_path / "all" / "out"
    assert runs.run(inputs, output, *flags) == ExitCode.SOME_FAILED
    (failed,) = json.loads((output / "failed.json").read_text())
    assert f"job9.json: the name '{name}' cannot be a job's" in failed["reason"]
    assert [path.name for path in output.parent.iterdir()] == ["out"]
    assert runs.run(path, tmp_path / "alone", *flags) == ExitCode.USAGE
    assert not (tmp_path / "alone").exists()


def test_a_job_of_a_batch_has_no_name_of_a_sample(runs, inputs, tmp_path):
    path = write_input(inputs, "seed-1_sample-0", [1])
    assert runs.run(inputs, tmp_path / "out") == ExitCode.SOME_FAILED
    (failed,) = json.loads((tmp_path / "out" / "failed.json").read_text())
    assert "the name 'seed-1_sample-0' is that of a sample's directory" in failed["reason"]
    assert not (tmp_path / "out" / "seed-1_sample-0").exists()
    # Alone it is called as upstream calls it.
    assert runs.run(path, tmp_path / "alone") == ExitCode.OK
    assert (tmp_path / "alone" / path.stem / f"{path.stem}_model.cif").is_file()


def test_a_seed_waits_for_the_last_ones_files_where_memory_is_short(runs, inputs, tmp_path):
    def short_of_memory():
        from af3opt.execution.job import memory_fit, writing
        from af3opt.memory import JobSize, MemoryPlan

        memory_fit.plan_memory = lambda size, *_, **__: MemoryPlan(
            size=JobSize(tokens=size.tokens, samples=size.samples)
        )
        write_files = writing.write_seed_files

        def write_slowly(*arguments, **options):
            time.sleep(0.3)
            return write_files(*arguments, **options)

        writing.write_seed_files = write_slowly

    flags = ("--overlap=on", f"--trace={tmp_path / 'trace.json'}")
    assert runs.run(inputs / "job0.json", tmp_path / "out", *flags, before=short_of_memory) == 0
    events = json.loads((tmp_path / "trace.json").read_text())["traceEvents"]
    spans = {kind: [e for e in events if e.get("cat") == kind] for kind in ("inference", "write")}
    ends = sorted(event["ts"] + event["dur"] for event in spans["write"])
    begins = sorted(event["ts"] for event in spans["inference"])
    assert len(begins) == 3
    assert all(end <= begin for end, begin in zip(ends, begins[1:], strict=False))


def test_a_directory_that_is_not_ours_is_left_alone(runs, inputs, tmp_path):
    foreign = tmp_path / "out" / "job0" / "notes.txt"
    foreign.parent.mkdir(parents=True)
    foreign.write_text("mine")
    assert runs.run(inputs / "job0.json", tmp_path / "out") == ExitCode.OK
    assert [path.name for path in foreign.parent.iterdir()] == ["notes.txt"]


def test_random_seeds_of_a_server_input_are_kept(runs, tmp_path):
    path = tmp_path / "server.json"
    chain = {"proteinChain": {"sequence": RESIDUES, "count": 1}}
    job = {"name": "server", "modelSeeds": [], "sequences": [chain]}
    path.write_text(json.dumps([job]))
    # The input has no MSA, so the data pipeline's part is taken as done by hand.
    output = tmp_path / "out"
    code = runs.run(path, output, "--norun_inference", "--run_data_pipeline", before=fake_search)
    assert code == ExitCode.OK
    seeds = json.loads((output / "server" / "server_data.json").read_text())["modelSeeds"]
    assert runs.run(path, output) == ExitCode.OK
    assert [seed for _, _, seed in runs.steps()] == seeds
    assert runs.run(path, output) == ExitCode.OK
    assert len(runs.steps()) == 1


def fake_search():
    """Fills in empty MSAs in place of a search."""
    import dataclasses

    from af3opt.engine.msa import DataPipeline

    def process(_self, fold_input):
        chains = [
            type(chain)(
                id=chain.id,
                sequence=chain.sequence,
                ptms=chain.ptms,
                unpaired_msa=f">query\n{chain.sequence}\n",
                paired_msa="",
                templates=[],
            )
            for chain in fold_input.chains
        ]
        return dataclasses.replace(fold_input, chains=chains)

    DataPipeline.process = process
    DataPipeline.check = lambda _self: None


def test_inference_follows_searches_made_elsewhere(runs, tmp_path):
    path = write_input(tmp_path / "in", "job", [1, 2])
    content = json.loads(path.read_text())
    content["sequences"] = [{"protein": {"id": "A", "sequence": RESIDUES}}]
    path.write_text(json.dumps(content))
    output = tmp_path / "out"
    code = runs.run(path, output)
    assert code == ExitCode.USAGE
    assert "--norun_data_pipeline" in runs.output
    flags = ("--norun_inference", "--run_data_pipeline")
    assert runs.run(path, output, *flags, before=fake_search) == ExitCode.OK
    assert runs.steps() == []
    assert runs.run(path, output) == ExitCode.OK
    assert len(runs.steps()) == 2
    assert [item.name for item in output.iterdir() if not item.name.startswith(".")] == ["job"]
    # The command without stages finds everything done as well.
    assert runs.run(path, output, "--run_data_pipeline", before=fake_search) == ExitCode.OK
    assert len(runs.steps()) == 2


def test_a_bad_input_does_not_end_the_batch(runs, inputs, tmp_path):
    output = tmp_path / "out"
    good = (inputs / "job1.json").read_text()
    (inputs / "job1.json").write_text('{"name": ')
    (inputs / "zz.json").write_bytes(b"\xff\xfe\x00")
    assert runs.run(inputs, output) == ExitCode.SOME_FAILED
    failed = json.loads((output / "failed.json").read_text())
    assert [entry["name"] for entry in failed] == ["job1", "zz"]
    assert "is not valid JSON" in failed[0]["reason"]
    assert len(runs.steps()) == 9
    (inputs / "job1.json").write_text(good)
    (inputs / "zz.json").unlink()
    assert runs.run(inputs / "job1.json", output) == ExitCode.OK
    assert [entry["name"] for entry in json.loads((output / "failed.json").read_text())] == ["zz"]


def test_fail_fast_ends_at_the_first_bad_input(runs, inputs, tmp_path):
    (inputs / "job0.json").write_text("{}")
    code = runs.run(inputs, tmp_path / "out", "--fail_fast", "--order=input")
    assert code == ExitCode.USAGE
    assert runs.steps() == []


def test_duplicate_names_are_said_up_front_and_kept_apart(runs, inputs, tmp_path):
    content = json.loads((inputs / "job0.json").read_text())
    content["modelSeeds"] = [77]
    (inputs / "other.json").write_text(json.dumps(content))
    output = tmp_path / "out"
    assert runs.run(inputs, output, "--overlap=on") == ExitCode.OK
    assert "2 jobs are named job0" in runs.output
    assert len([path for path in output.glob("job0*") if path.is_dir()]) == 2
    assert runs.run(inputs, output) == ExitCode.OK
    assert len(runs.steps()) == 13


def test_no_seed_is_started_without_time_for_it(runs, inputs, tmp_path):
    assert runs.run(inputs, tmp_path / "out", "--max_runtime=10") == ExitCode.REQUEUE
    assert runs.steps() == []
    assert "4 left" in runs.output


def test_seed_times_are_learned_for_the_next_process(runs, inputs, tmp_path, monkeypatch):
    output = tmp_path / "out"
    home = tmp_path / "times"
    monkeypatch.setattr("af3opt.progress.learned.af3opt_home", lambda: home)
    assert runs.run(inputs / "job0.json", output, seconds=1.5) == ExitCode.OK
    steps = len(runs.steps())
    # The first seed of this process would already take too long.
    assert runs.run(inputs, output, "--max_runtime=31", seconds=1.5) == ExitCode.REQUEUE
    assert len(runs.steps()) == steps
    assert re.search(r"takes about 3[2-9] s with what is before it, 30 s to spare", runs.output)


@pytest.mark.parametrize("overlap", ["on", "off"])
def test_sigusr1_finishes_the_seed_and_starts_none(runs, inputs, tmp_path, overlap):
    process = runs.start(inputs, tmp_path / "out", f"--overlap={overlap}", seconds=1.0)
    wait_for(lambda: "Running model inference with seed 1..." in runs.output)
    os.kill(process.pid, signal.SIGUSR1)
    assert runs.end(process) == ExitCode.REQUEUE
    assert [seed for _, _, seed in runs.steps()] == [1]
    assert (tmp_path / "out" / "job0" / "seed-1_sample-0").is_dir()
    assert runs.run(inputs, tmp_path / "out") == ExitCode.OK
    assert len(runs.steps()) == 12


@pytest.mark.parametrize(
    ("number", "flags", "code"),
    [
        (signal.SIGTERM, (), ExitCode.REQUEUE),
        (signal.SIGTERM, ("--noresume",), ExitCode.TERMINATED),
        (signal.SIGINT, (), ExitCode.INTERRUPTED),
    ],
)
def test_signals_abandon_the_seed_at_once(runs, inputs, tmp_path, number, flags, code):
    process = runs.start(inputs, tmp_path / "out", *flags, seconds=600.0)
    wait_for(lambda: "Running model inference with seed 1..." in runs.output)
    os.kill(process.pid, number)
    assert runs.end(process) == code
    assert leftovers(tmp_path / "out") == []


def test_a_claim_is_released_at_a_signal(runs, inputs, tmp_path):
    process = runs.start(inputs, tmp_path / "out", seconds=30.0)
    wait_for(lambda: "Running model inference with seed 1..." in runs.output)
    os.kill(process.pid, signal.SIGTERM)
    assert runs.end(process) == ExitCode.REQUEUE
    (claim,) = (tmp_path / "out" / ".af3opt" / "jobs" / "job0").glob("claim-*")
    assert json.loads(claim.read_text())["released"] is True


def nan_samples(seeds, samples=None):
    """Makes samples of some seeds come from the device without a number."""

    def before():
        real = stub.StubRunner.run_inference

        def run_inference(self, batch, seed, samples_at_once=None):
            result = real(self, batch, seed, samples_at_once)
            if seed in seeds:
                result["diffusion_samples"]["atom_positions"][samples] = float("nan")
            return result

        stub.StubRunner.run_inference = run_inference

    return before


@pytest.mark.parametrize("overlap", ["on", "off"])
def test_a_job_without_a_finite_sample_has_failed(runs, inputs, tmp_path, overlap):
    output, flag = tmp_path / "out", f"--overlap={overlap}"
    # All seeds of job1, one of job2.
    bad = nan_samples({11, 12, 13, 22})
    assert runs.run(inputs, output, flag, before=bad) == ExitCode.SOME_FAILED
    (failed,) = json.loads((output / "failed.json").read_text())
    assert failed["name"] == "job1"
    assert "no sample of its 3 seed(s) is finite" in failed["reason"]
    assert (output / "job1" / "seed-11_sample-0_nonfinite").is_dir()
    assert not (output / "job1" / "job1_ranking_scores.csv").exists()
    assert json.loads((output / "job1" / "job1_af3opt.json").read_text())["status"] == "failed"
    assert (output / "job2" / "job2_ranking_scores.csv").exists()
    # The same command neither repeats what would give the same nor calls it done.
    steps = len(runs.steps())
    assert runs.run(inputs, output, flag) == ExitCode.SOME_FAILED
    assert len(runs.steps()) == steps
    assert runs.run(inputs / "job1.json", output, flag) == ExitCode.SOME_FAILED


def test_one_finite_sample_is_a_result(runs, inputs, tmp_path):
    flags = ("--num_diffusion_samples=2",)
    code = runs.run(inputs / "job1.json", tmp_path / "out", *flags, before=nan_samples({11}, 0))
    assert code == ExitCode.OK
    table = (tmp_path / "out" / "job1" / "job1_ranking_scores.csv").read_text().splitlines()
    assert len(table) == 1 + 5


def test_fail_fast_ends_at_a_job_without_a_finite_sample(runs, inputs, tmp_path):
    bad = nan_samples({1, 2, 3})
    code = runs.run(inputs, tmp_path / "out", "--fail_fast", "--overlap=off", before=bad)
    assert code == ExitCode.FAILURE
    assert {seed for _, _, seed in runs.steps()} == {1, 2, 3}


@pytest.mark.parametrize("jump", [86_400.0, -86_400.0])
def test_a_clock_that_is_set_changes_nothing(runs, inputs, tmp_path, jump):
    def jumping_clock():
        real, start = time.time, time.monotonic()
        time.time = lambda: real() + (jump if time.monotonic() - start > 0.5 else 0.0)

    flags = ("--max_runtime=3600",)
    assert runs.run(inputs, tmp_path / "out", *flags, before=jumping_clock) == ExitCode.OK
    assert len(runs.steps()) == 12
