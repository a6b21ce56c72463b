"""`af3opt bench`: stages, statistics, tables and the runner, with stand-ins for both sides."""

import dataclasses
import json
import sys
import xml.etree.ElementTree as ElementTree

import pytest

from af3opt import cli
from af3opt.benchmarks import comparison, describe, suites
from af3opt.benchmarks.baseline import covered_seconds
from af3opt.benchmarks.markdown import format_result, summary_table
from af3opt.benchmarks.plot import write_plot
from af3opt.benchmarks.process import run_measured
from af3opt.benchmarks.results import (
    BASELINE,
    COLD,
    FORMAT,
    WARM,
    CaseResult,
    Run,
    SuiteResult,
    read_result,
    write_result,
)
from af3opt.benchmarks.stages import (
    COMPILATION,
    DATA_PIPELINE,
    EXTRACTION,
    FEATURISATION,
    INFERENCE,
    REST,
    START_UP,
    WRITING,
    TimedLine,
    split_stages,
)
from af3opt.errors import InputError, SetupError
from tests.conftest import REPOSITORY

UPSTREAM_LOG = [
    (9.0, "Running fold job a..."),
    (9.0, "Running data pipeline..."),
    (11.0, "Writing model input JSON to out/a_data.json"),
    (11.0, "Featurising data with 2 seed(s)..."),
    (12.5, "Featurising data with seed 1 took 1.50 seconds."),
    (13.5, "Featurising data with seed 2 took 1.00 seconds."),
    (13.5, "Featurising data with 2 seed(s) took 2.50 seconds."),
    (13.5, "Running model inference with seed 1..."),
    (33.5, "Running model inference with seed 1 took 20.00 seconds."),
    (34.0, "Extracting 5 inference samples with seed 1 took 0.50 seconds."),
    (34.0, "Running model inference with seed 2..."),
    (44.0, "Running model inference with seed 2 took 10.00 seconds."),
    (44.5, "Extracting 5 inference samples with seed 2 took 0.50 seconds."),
    (44.5, "Running model inference and extracting output structures with 2 seed(s) took 31.00 s"),
    (44.5, "Writing outputs with 2 seed(s)..."),
    (47.5, "Fold job a done, output written to out/a"),
]
OWN_LOG = [
    (1.0, "2026-01-01 INFO Featurising data with seed 1 took 0.50 seconds."),
    (1.0, "2026-01-01 INFO Running model inference with seed 1..."),
    (4.0, "INFO Model for 80 tokens: traced in 0.5 s, lowered in 0.2 s, compiled in 1.5 s"),
    (6.0, "INFO Running model inference with seed 1 took 5.00 seconds."),
    (6.5, "INFO Writing outputs with seed 1 took 0.50 seconds."),
]


def timed(log):
    return [TimedLine(seconds, text) for seconds, text in log]


def test_stages_of_upstreams_log():
    assert split_stages(timed(UPSTREAM_LOG), 48.0) == {
        START_UP: 9.0,
        DATA_PIPELINE: 2.0,
        FEATURISATION: 2.5,
        INFERENCE: 30.0,
        EXTRACTION: 1.0,
        WRITING: 3.0,
        REST: 0.5,
    }


def test_stages_of_our_log():
    assert split_stages(timed(OWN_LOG), 7.0) == {
        START_UP: 0.5,
        FEATURISATION: 0.5,
        INFERENCE: 5.0,
        COMPILATION: 2.2,
        WRITING: 0.5,
        REST: 0.5,
    }


@pytest.mark.parametrize(
    ("line", "seconds"),
    [
        ("Model for 80 tokens: loaded in 0.4 s from the executable store, needs 1.25 GB", 0.4),
        (
            "Model for 80 tokens: traced in 2.0 s, lowered in 1.0 s, "
            "read from the compile cache in 0.5 s",
            3.5,
        ),
        ("Compiling the model took 12.25 seconds.", 12.25),
        ("Weights loaded in 3.0 s", None),
    ],
)
def test_what_counts_as_compilation(line, seconds):
    assert split_stages(timed([(1.0, line)]), 2.0).get(COMPILATION) == seconds


def test_a_trace_within_a_trace_counts_once():
    assert covered_seconds([]) == 0.0
    assert covered_seconds([(1.0, 5.0), (2.0, 3.0), (4.0, 6.0), (8.0, 9.0)]) == 6.0


def test_a_log_without_known_lines_has_no_stages():
    assert split_stages(timed([(1.0, "hello")]), 2.0) == {}


def make_case(name="a", baseline=(40.0, 44.0), cold=(10.0, 11.0), warm=(5.0, 4.0)):
    runs = [
        Run(
            role=role,
            repeat=repeat,
            wall_seconds=wall,
            cpu_seconds=wall,
            peak_bytes=2_000_000_000,
            stages={INFERENCE: wall * 0.8, COMPILATION: 1.0, FEATURISATION: wall * 0.1},
        )
        for role, walls in ((BASELINE, baseline), (COLD, cold), (WARM, warm))
        for repeat, wall in enumerate(walls)
    ]
    commands = {role: f"run {role}" for role in (BASELINE, COLD, WARM)}
    return CaseResult(name=name, description=f"case {name}", commands=commands, runs=runs)


def make_result(suite="quick", overrides=None):
    side = {"label": "x", "engine": "alphafold3 (fingerprint 1)", "versions": {"jax": "0.10.2"}}
    return SuiteResult(
        suite=suite,
        command="af3opt bench",
        started="2026-01-01T00:00:00+00:00",
        host={
            "cpu": "Some CPU",
            "usable_cores": 2,
            "bf16": [],
            "memory_gb": 25.0,
            "gpus": [],
            "system": "Linux",
            "load_average": 0.1,
        },
        baseline=side,
        subject=side,
        weights="random",
        overrides=overrides or {},
        backend="cpu",
        cases=[make_case(), make_case("b")],
    )


def test_medians_spreads_and_ratios_of_pairs():
    case = make_case()
    assert case.median_wall(BASELINE) == 42.0
    assert case.ratios(COLD) == [4.0, 4.0]
    assert case.ratios(WARM) == [8.0, 11.0]
    assert case.spread(BASELINE) == pytest.approx(2 / 42)
    assert case.median_stage(COLD, INFERENCE) == pytest.approx(8.4)
    assert case.median_stage(COLD, WRITING) is None


def test_results_survive_the_disk(tmp_path):
    path = tmp_path / "quick.json"
    write_result(make_result(), path)
    assert read_result(path) == make_result()
    assert json.loads(path.read_text())["format"] == FORMAT


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"format": "other"}', '{"format": 1, "cases": 2}']
)
def test_other_files_are_refused(tmp_path, text):
    path = tmp_path / "x.json"
    path.write_text(text)
    with pytest.raises(InputError, match=r"x\.json: not a result"):
        read_result(path)


def test_markdown_has_figures_commands_and_circumstances():
    text = format_result(make_result())
    assert "| a | case a | 42.0 s ±5% | 10.5 s ±5% | 4.5 s ±11% | **4.00** (4.00–4.00)" in text  # noqa: RUF001
    assert "run af3opt, cold" in text
    assert "| a | of which compilation | 1.0 | 1.0 | 1.0 |" in text
    assert "| a | inference without compilation | 32.6 | 7.4 | 2.6 |" in text
    assert "jax 0.10.2" in text
    assert "Improvement" not in text
    report = format_result(make_result("report"))
    assert "| a | af3opt, cold | 75.0% | 75.0% | 75.0% |" in report
    table = summary_table([make_result()])
    assert table.startswith("Some CPU, 2 cores:")
    assert (
        "| case a; baseline with jax 0.10.2 | 42 s | 10 s (4.0x) | 4 s (9.5x) | 2.0 GB |" in table
    )


def test_a_reduced_model_is_never_passed_off_as_the_whole():
    whole, reduced = make_result(), make_result(overrides={"evoformer.pairformer.num_layer": 2})
    assert "reduced" not in format_result(whole) + summary_table([whole])
    assert "evoformer.pairformer.num_layer 2" in format_result(reduced)
    assert "| case a; a model of reduced depth; baseline" in summary_table([reduced])


def test_plot_is_an_svg(tmp_path):
    pytest.importorskip("matplotlib")
    write_plot(make_result(), tmp_path / "quick.svg")
    assert ElementTree.parse(tmp_path / "quick.svg").getroot().tag.endswith("svg")


def test_no_matplotlib_is_said(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(SetupError, match="matplotlib is not installed"):
        write_plot(make_result(), tmp_path / "quick.svg")


def test_a_process_is_measured(tmp_path):
    code = (
        "import sys, time; block = bytearray(120_000_000); time.sleep(0.2); "
        "print('Running model inference with seed 1...'); "
        "print('Running model inference with seed 1 took 0.10 seconds.', file=sys.stderr)"
    )
    run = run_measured([sys.executable, "-c", code], {}, tmp_path / "log", folder=tmp_path)
    assert 0.2 < run.wall_seconds < 30
    assert run.peak_bytes > 120_000_000
    assert run.stages[INFERENCE] == 0.1
    assert "took 0.10" in (tmp_path / "log").read_text()


def test_a_process_that_fails_says_why(tmp_path):
    command = [sys.executable, "-c", "import sys; print('so sad'); sys.exit(4)"]
    with pytest.raises(SetupError, match=r"exit code 4 from .* so sad"):
        run_measured(command, {}, tmp_path / "log", folder=tmp_path)
    with pytest.raises(SetupError, match="cannot be started"):
        run_measured(["/no/such/program"], {}, tmp_path / "log", folder=tmp_path)


@pytest.mark.parametrize("suite", suites.SUITES.values(), ids=lambda suite: suite.name)
def test_suites_make_inputs_that_never_change(suite, tmp_path):
    assert len({case.name for case in suite.cases}) == len(suite.cases)
    for case in suite.cases:
        texts = []
        for folder in (tmp_path / "1", tmp_path / "2"):
            files = sorted(suites.write_inputs(case, folder).iterdir())
            texts.append([file.read_text() for file in files])
            contents = [json.loads(text) for text in texts[-1]]
            lengths = [len(one["sequences"][0]["protein"]["sequence"]) for one in contents]
            assert sorted(lengths) == sorted(case.sizes)
        assert texts[0] == texts[1]


@pytest.mark.parametrize(
    ("case", "words"),
    [
        (suites.Case(name="x", sizes=(76,)), "76 residues, every flag at its default"),
        (
            suites.Case(name="x", sizes=(60, 250), seeds=2, flags={"buckets": 256}),
            "2 inputs of 60 to 250 residues in one run, 2 seeds, both padded to 256 tokens",
        ),
        (
            suites.Case(name="x", sizes=(9,), flags={"num_recycles": 3}).with_flags(
                {"num_recycles": 1, "num_diffusion_steps": 20}
            ),
            "9 residues, 1 recycle, 20 steps",
        ),
    ],
)
def test_a_case_says_what_it_is(case, words):
    assert case.description == words


STAND_IN = """\
import pathlib, sys
flags = dict(word.lstrip("-").split("=", 1) for word in sys.argv[1:] if "=" in word)
out = pathlib.Path(flags["output_dir"]) / "x"
out.mkdir(parents=True)
(out / "{name}_model.cif").write_text("data_x")
print("Running model inference with seed 1...")
print("Running model inference with seed 1 took 0.01 seconds.")
"""


@pytest.fixture
def stand_ins(tmp_path, monkeypatch):
    """Sides whose processes only write what the runner looks for."""

    def make(subject_name="same"):
        scripts = {}
        for side, name in (("baseline", "same"), ("subject", subject_name)):
            scripts[side] = tmp_path / f"{side}.py"
            scripts[side].write_text(STAND_IN.format(name=name))

        class Sides(comparison.Sides):
            def subject_command(self, case, inputs, output):
                command = super().subject_command(case, inputs, output)
                return [command[0], str(scripts["subject"]), *command[4:]]

            def shown(self, command, folder):
                return super().shown(command, folder).replace(f"{tmp_path}/", "")

        return Sides(
            baseline_python=sys.executable,
            baseline_script=scripts["baseline"],
            baseline_weights=tmp_path,
            subject_weights=tmp_path,
            subject_flags=("--fidelity=exact",),
            backend="cpu",
            attention="xla",
        )

    return make


CASE = suites.Case(name="tiny", sizes=(76,), flags={"num_recycles": 1})


def test_sides_take_turns_on_the_same_inputs(stand_ins, tmp_path):
    result = comparison.measure_case(CASE, stand_ins(), 2, tmp_path / "work")
    assert [(run.role, run.repeat) for run in result.runs] == [
        *((role, 0) for role in (BASELINE, COLD, WARM)),
        *((role, 1) for role in (COLD, WARM, BASELINE)),
    ]
    assert all(run.stages[INFERENCE] == 0.01 for run in result.runs)
    for command in result.commands.values():
        assert "--num_recycles=1" in command
        assert "--norun_data_pipeline" in command
        assert str(tmp_path) not in command
        assert command.startswith("python ")
    assert "--fidelity=exact" in result.commands[COLD]
    assert "--fidelity=exact" not in result.commands[BASELINE]


def test_other_structures_are_not_compared(stand_ins, tmp_path):
    with pytest.raises(SetupError, match="different structures"):
        comparison.measure_case(CASE, stand_ins("other"), 1, tmp_path / "work")


def test_the_users_settings_reach_neither_side(monkeypatch, tmp_path):
    monkeypatch.setenv("AF3OPT_FIDELITY", "exact")
    monkeypatch.setenv("XLA_FLAGS", "--xla_x=1")
    environ = comparison.child_environ(tmp_path)
    assert "AF3OPT_FIDELITY" not in environ
    assert environ["XLA_FLAGS"] == "--xla_x=1"
    assert environ["AF3OPT_HOME"] == str(tmp_path)


def test_on_a_gpu_the_baseline_has_the_environment_of_the_official_image(stand_ins):
    sides = dataclasses.replace(stand_ins(), backend="gpu")
    assert sides.baseline_environ()["XLA_FLAGS"] == "--xla_gpu_enable_triton_gemm=false"
    assert "XLA_FLAGS" not in stand_ins().baseline_environ()


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--suite=none"], "--suite=none: choose one of quick"),
        (["--repeats=0"], "--repeats must be at least 1"),
        (["--case=none"], "--case=none: suite quick has quick"),
        (["--run_alphafold_script=/no/such"], "no such file"),
        (["--suite=cpu", "--case=199", f"--run_alphafold_script={__file__}"], "diffusion steps"),
        (["--num_recycles=0"], "--num_recycles=0 must be at least 1"),
        (["--depth=small", "--model_dir=/x"], "--depth is for random weights"),
        (["--bogus"], "unrecognized arguments: --bogus"),
        (["--baseline_python=/no/such"], "--baseline_python=/no/such: No such file"),
    ],
)
def test_wrong_flags_are_one_line(flags, words, capsys):
    assert cli.main(["bench", *flags]) == 2
    err = capsys.readouterr().err
    assert words in err
    assert len(err.splitlines()) == 1


@pytest.fixture
def made_up_sides(monkeypatch, tmp_path):
    """The command with nothing measured: versions, weights and runs are made up."""
    side = {"engine": "alphafold3 (fingerprint 1)", "versions": {"jax": "0.10.2"}}
    monkeypatch.setattr(describe, "describe_python", lambda *_: side)
    monkeypatch.setattr(describe, "describe_here", lambda: side)
    monkeypatch.setattr(comparison, "build_baseline_data", lambda _: None)
    asked = []

    def weights(python, depth):
        asked.append((python, depth))
        return tmp_path

    def measure(case, sides, repeats, folder):
        asked.append((case.name, case.flags, repeats, sides.subject_flags))
        return make_case(case.name)

    monkeypatch.setattr(comparison, "synthetic_weights", weights)
    monkeypatch.setattr(comparison, "measure_case", measure)
    return asked


def test_the_command_measures_and_writes(made_up_sides, tmp_path, capsys):
    folder = tmp_path / "results"
    flags = ["--suite=cpu", "--case=384", "--repeats=7", "--name=mine", f"--output={folder}"]
    flags += ["--num_diffusion_steps=5", "--depth=small"]
    assert cli.main(["bench", *flags, "--", "--fidelity=exact"]) == 0
    assert made_up_sides[:2] == [(sys.executable, "small")] * 2
    assert made_up_sides[2] == (
        "384",
        {
            "num_recycles": 1,
            "num_diffusion_samples": 1,
            "num_diffusion_steps": 5,
            "buckets": 384,
        },
        7,
        ("--fidelity=exact",),
    )
    text = (folder / "mine.md").read_text()
    assert text == capsys.readouterr().out == format_result(read_result(folder / "mine.json"))
    assert "-- --fidelity=exact" in text
    assert "`af3opt bench --suite=cpu" in text
    assert "--output=$OUTPUT" in text
    assert str(tmp_path) not in text


def test_a_script_as_baseline_gets_the_model_at_its_true_depth(made_up_sides, tmp_path, capsys):
    script = tmp_path / "run_alphafold.py"
    script.touch()
    flags = ["--suite=quick", f"--run_alphafold_script={script}", f"--output={tmp_path}/results"]
    assert cli.main(["bench", *flags]) == 0
    assert made_up_sides[0][1] == "full"
    text = capsys.readouterr().out
    assert "Baseline: run_alphafold.py (sha256 e3b0c44298fc1c14)" in text
    assert str(tmp_path) not in text


@pytest.mark.engine
def test_a_side_is_described_by_its_own_interpreter(tmp_path):
    environ = comparison.child_environ(tmp_path)
    side = describe.describe_python(sys.executable, environ)
    assert side == describe.describe_here()
    assert "fingerprint" in side["engine"]
    with pytest.raises(SetupError, match="--baseline_python="):
        describe.describe_python("/bin/false", environ)


RESULTS = sorted((REPOSITORY / "benchmarks").glob("*.json"))


@pytest.mark.parametrize("path", RESULTS, ids=lambda path: path.name)
def test_committed_tables_are_those_of_the_committed_results(path):
    assert path.with_suffix(".md").read_text() == format_result(read_result(path))
