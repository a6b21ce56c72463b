"""`--run_alphafold_script`: the site's script, unmodified, in our environment."""

import os
import shutil
import subprocess
import sys
import types

import pytest

from af3opt.base.errors import ExitCode, SetupError, UsageError
from af3opt.engine.outputs import SYNTHETIC_NOTE
from af3opt.engine.patching import PatchSet
from af3opt.environment.backend import Backend
from af3opt.execution.interrupt import InterruptGuard
from af3opt.execution.script import arguments
from af3opt.execution.script import run as script_mode
from af3opt.execution.script.arguments import (
    NOT_WITH_A_SCRIPT,
    check_terms,
    script_arguments,
    script_flags,
)
from af3opt.execution.script.stages import ScriptStages
from af3opt.output.run_record import read_run_record, record_path
from af3opt.settings.catalogue import all_options
from af3opt.settings.settings import resolve_settings
from tests.conftest import REPOSITORY
from tests.engine.trees import differences

SCRIPT = REPOSITORY / "tests" / "engine" / "site_script.py"
CPU = Backend("cpu", None, "xla", "")


def test_flags_are_found_without_running_the_script(tmp_path):
    script = tmp_path / "run_alphafold.py"
    script.write_text("flags.DEFINE_string('output_dir', None, '')\nraise SystemExit('ran')\n")
    assert script_flags(script) == {"output_dir"}
    assert {"json_path", "buckets", "jax_backend"} <= script_flags(SCRIPT)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "No such file"),
        ("def broken(:", "is not Python"),
        ("print('hello')", "defines no flag --output_dir"),
    ],
)
def test_what_is_not_the_script_is_refused(tmp_path, text, message):
    script = tmp_path / "x.py"
    if text is not None:
        script.write_text(text)
    with pytest.raises(SetupError, match=message):
        script_flags(script)


def test_only_what_was_set_is_passed_on():
    settings = resolve_settings(
        ["--output_dir=/o", "--num_recycles=3", "--norun_data_pipeline", "--buckets=64,96"], {}
    )
    known = script_flags(SCRIPT)
    assert script_arguments(settings, CPU, known, SCRIPT) == [
        "--output_dir=/o",
        "--run_data_pipeline=false",
        "--buckets=64,96",
        "--num_recycles=3",
        "--jax_backend=cpu",
        "--flash_attention_implementation=xla",
    ]


def test_a_cpu_pads_little_unless_the_user_or_the_class_says_otherwise():
    known = script_flags(SCRIPT) | {"run_inference"}

    def buckets(*flags, backend=CPU):
        settings = resolve_settings(["--output_dir=/o", *flags], {})
        passed = script_arguments(settings, backend, known, SCRIPT)
        return [one for one in passed if one.startswith("--buckets=")]

    (chosen,) = buckets()
    assert chosen.startswith("--buckets=16,20,")
    assert buckets("--buckets=64") == ["--buckets=64"]
    assert buckets("--fidelity=exact") == []
    assert buckets("--norun_inference") == []
    assert buckets(backend=Backend("gpu", None, "triton", "")) == []


@pytest.mark.parametrize(
    "flag", ["--max_runtime=60", "--save_pdb", "--on_nonfinite=mark", "--noresume"]
)
def test_what_only_our_own_runner_does_is_refused(flag):
    name = flag.removeprefix("--").removeprefix("no").partition("=")[0]
    settings = resolve_settings(["--output_dir=/o", flag], {})
    with pytest.raises(UsageError, match=rf"--{name} needs af3opt's own runner"):
        script_arguments(settings, CPU, script_flags(SCRIPT), SCRIPT)


@pytest.mark.parametrize("flag", ["--nosave_pdb", "--resume", "--on_nonfinite=retry"])
def test_what_changes_nothing_is_not_refused(flag):
    settings = resolve_settings(["--output_dir=/o", flag], {})
    assert "--output_dir=/o" in script_arguments(settings, CPU, script_flags(SCRIPT), SCRIPT)


def test_flags_of_absl_are_passed_on_as_given():
    given = ["--run_alphafold_script=s.py", "--output_dir=/o", "--log_dir=/logs", "-v=1"]
    settings = resolve_settings(given, {})
    passed = script_arguments(settings, CPU, script_flags(SCRIPT), SCRIPT)
    assert passed[-2:] == ["--log_dir=/logs", "--verbosity=1"]


def test_a_sites_common_setting_of_that_kind_is_said_and_passed_over(caplog):
    caplog.set_level("INFO")
    settings = resolve_settings(["--output_dir=/o"], {"AF3OPT_SAVE_PDB": "true"})
    script_arguments(settings, CPU, script_flags(SCRIPT), SCRIPT)
    assert "save_pdb (from AF3OPT_SAVE_PDB) has no effect with a script" in caplog.text


def test_flags_of_the_script_alone_are_passed_on_as_they_are():
    known = script_flags(SCRIPT) | {"use_msa_server", "msa_server_url"}

    def passed(text):
        settings = resolve_settings(["--output_dir=/o", f"--script_flags={text}"], {})
        return script_arguments(settings, CPU, known, SCRIPT)

    assert passed("--nouse_msa_server --msa_server_url='a b'")[-2:] == [
        "--nouse_msa_server",
        "--msa_server_url=a b",
    ]
    for text, problem in (
        ("--typo=1", "has no flag '--typo=1'"),
        ("use_msa_server", "has no flag 'use_msa_server'"),
        ("--num_recycles=3", "give --num_recycles=3 itself"),
        ("'", "No closing quotation"),
    ):
        with pytest.raises(UsageError, match=problem):
            passed(text)


def test_every_option_that_a_script_cannot_have_is_one_of_ours():
    own = {name for name, option in all_options().items() if not option.spec.upstream}
    assert own >= NOT_WITH_A_SCRIPT


def test_terms_that_the_script_reads_are_looked_for_first(tmp_path, monkeypatch):
    script = tmp_path / "run_alphafold.py"
    script.write_text("(folder / 'OUTPUT_TERMS_OF_USE.md').read_text()\n")
    engine = types.SimpleNamespace(root=tmp_path)
    monkeypatch.setattr(arguments, "find_engine", lambda: engine)
    settings = resolve_settings(["--output_dir=/o"], {})
    with pytest.raises(SetupError, match=r"has no .*OUTPUT_TERMS_OF_USE.md, which .*py reads"):
        check_terms(settings, script)
    check_terms(resolve_settings(["--output_dir=/o", "--norun_inference"], {}), script)
    script.write_text("")
    check_terms(settings, script)
    script.write_text("OUTPUT_TERMS_OF_USE.md")
    (tmp_path / "OUTPUT_TERMS_OF_USE.md").touch()
    check_terms(settings, script)


def test_a_flag_the_script_lacks_is_an_error_naming_its_source():
    settings = resolve_settings(["--output_dir=/o"], {"AF3OPT_NUM_SEEDS": "2"})
    with pytest.raises(UsageError, match=r"--num_seeds \(from AF3OPT_NUM_SEEDS\)"):
        script_arguments(settings, CPU, script_flags(SCRIPT), SCRIPT)


@pytest.mark.parametrize(
    ("flags", "environ", "configured"),
    [
        ([], {}, True),
        (["--jax_compilation_cache_dir=/c"], {}, False),
        ([], {"JAX_COMPILATION_CACHE_DIR": "/c"}, False),
        (["--norun_inference"], {}, False),
    ],
)
def test_our_compile_cache_unless_another_is_chosen(
    flags, environ, configured, tmp_path, monkeypatch
):
    script = tmp_path / "run_alphafold.py"
    names = ("output_dir", "jax_compilation_cache_dir", "run_inference")
    script.write_text("from absl import flags\n" + "".join(
        f"lambda: flags.DEFINE_string({name!r}, None, '')\n" for name in names
    ))  # fmt: skip
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "argv", [])
    monkeypatch.setattr(sys, "path", list(sys.path))
    calls = []
    stand_ins = {
        "bootstrap_engine": lambda **_: types.SimpleNamespace(label="engine", root="/e"),
        "activate": lambda *_: calls.append("activate") or (),
        "choose_context": lambda *_: None,
        "choose_device": lambda *_: "device",
        "configure_compile_cache": lambda *arguments: calls.append(arguments),
    }
    for name, stand_in in stand_ins.items():
        monkeypatch.setattr(script_mode, name, stand_in)
    monkeypatch.setattr(ScriptStages, "in_force", lambda _: PatchSet([], None))
    monkeypatch.setattr(script_mode, "check_terms", lambda *_: None)
    settings = resolve_settings(
        [f"--run_alphafold_script={script}", "--output_dir=/o", *flags], environ
    )
    startup = types.SimpleNamespace(backend=CPU, host=None)
    assert script_mode.run_script(settings, startup, InterruptGuard()) == ExitCode.OK
    assert calls == ["activate", *([(None, "device")] if configured else [])]


@pytest.mark.engine
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_script_folds_like_our_own_runner(tmp_path, small_weights):
    inputs = tmp_path / "inputs"
    inputs.mkdir()
    shutil.copy(REPOSITORY / "examples" / "several_seeds.json", inputs)
    common = [
        f"--input_dir={inputs}",
        f"--model_dir={small_weights}",
        "--buckets=32",
        "--num_recycles=1",
        "--num_diffusion_samples=1",
        "--fidelity=exact",
    ]
    own, site = tmp_path / "own", tmp_path / "site"
    for flags in (
        [f"--output_dir={own}"],
        [f"--output_dir={site}", f"--run_alphafold_script={SCRIPT}"],
    ):
        completed = subprocess.run(
            [sys.executable, "-m", "af3opt", "run", *common, *flags],
            cwd=REPOSITORY,
            env=os.environ,
            capture_output=True,
            text=True,
            check=False,
        )
        assert completed.returncode == 0, completed.stdout + completed.stderr
        assert f"Compile cache: {os.environ['AF3OPT_HOME']}" in completed.stderr
    assert differences(own, site) == []
    job = site / "several_seeds"
    record = read_run_record(record_path(job, job.name))
    assert record.status == "done"
    assert [seed.seed for seed in record.seeds] == [1, 2, 3]
    assert record.weights.synthetic
    assert SYNTHETIC_NOTE in (job / f"{job.name}_model.cif").read_text()
