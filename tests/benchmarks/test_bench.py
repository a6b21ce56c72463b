"""`af3opt bench`: suites, runner and command, with stand-ins for both sides."""

import dataclasses
import json
import sys

import pytest

from af3opt import cli
from af3opt.base.errors import SetupError
from af3opt.benchmarks import comparison, describe, suites
from af3opt.benchmarks.markdown import format_result
from af3opt.benchmarks.process import run_measured
from af3opt.benchmarks.results import (
    BASELINE,
    COLD,
    WARM,
    read_result,
)
from af3opt.benchmarks.stages import (
    INFERENCE,
)
from tests.benchmarks.results import make_case


def test_a_process_is_measured(tmp_path):
    code = (
        "import sys, time; block = bytearray(120_000_000); time.sleep(0.2); "
        "print('Running model inference with seed 1...'); "
        "print('Running model inference with seed 1 took 0.10 seconds.', file=sys.stderr)"
    )
    run = run_measured([sys.executable, "-c", code], {}, tmp_path / "log", folder=tmp_path)
    assert run.wall_seconds > 0.2
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


def test_weights_of_both_sides_are_read_ahead(stand_ins, tmp_path):
    (tmp_path / "af3.bin").write_bytes(bytes(100))
    comparison.fill_file_cache(stand_ins())


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


def test_a_case_that_fails_does_not_cost_those_before_it(made_up_sides, tmp_path, monkeypatch):
    def measure(case, *_):
        if case.name == "384":
            raise SetupError("so sad")
        return make_case(case.name)

    monkeypatch.setattr(comparison, "measure_case", measure)
    flags = ["--suite=cpu", "--case=199", "--case=384", f"--output={tmp_path}/results"]
    assert cli.main(["bench", *flags]) == 2
    assert [case.name for case in read_result(tmp_path / "results" / "cpu.json").cases] == ["199"]


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
