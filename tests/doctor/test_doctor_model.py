"""`af3opt doctor`: weights, device and engine, from made-up answers and on this machine."""

import json
import os
import subprocess
import sys

import pytest

from af3opt.base.errors import SetupError
from af3opt.doctor import engine_probe, model
from af3opt.doctor.check import Check, Verdict
from af3opt.engine.discovery import find_engine
from tests.conftest import REPOSITORY
from tests.doctor.subjects import only, subject, verdicts


def test_weights(tmp_path):
    assert verdicts(model.check_weights(subject(f"--model_dir={tmp_path}/no"))) == {
        "weights": Verdict.FAIL
    }
    assert verdicts(model.check_weights(subject("--norun_inference"))) == {"weights": Verdict.SKIP}
    (tmp_path / "af3.bin.zst").write_bytes(b"12345")
    (check,) = model.check_weights(subject(f"--model_dir={tmp_path}"))
    assert check.verdict is Verdict.OK
    (tmp_path / "af3opt_synthetic.json").write_text("{")
    assert verdicts(model.check_weights(subject(f"--model_dir={tmp_path}"))) == {
        "weights": Verdict.FAIL
    }


@pytest.fixture
def answers(monkeypatch, tmp_path):
    """Makes the probe's process say given lines, then end or hang."""
    (tmp_path / "af3.bin").write_bytes(b"12345")
    monkeypatch.setattr(model, "find_engine", lambda: None)

    def check(*lines, errors="", hangs=False):
        """The verdicts; who hangs has half a second."""
        script = tmp_path / "python"
        body = "".join(f"echo '{line}'\n" for line in lines) + ("sleep 60\n" if hangs else "")
        (tmp_path / "errors").write_text(errors)
        body += f"cat {tmp_path / 'errors'} >&2\n"
        script.write_text(f"#!/bin/bash\n{body}")
        script.chmod(0o700)
        monkeypatch.setattr(sys, "executable", str(script))
        examined = subject(f"--model_dir={tmp_path}")
        return list(model.check_model(examined, *([0.5] if hangs else [])))

    return check


DEVICE = '{"device": "cpu (cpu)"}'
WEIGHTS = '{"weights": ["af3.bin"]}'


def test_everything_in_order(answers):
    engine = (
        '{"engine_seconds": 4.0, "optimisations": {"a": null, "b": "f is not the function"},'
        ' "lacking_package": []}'
    )
    checks = answers(DEVICE, "noise", WEIGHTS, engine)
    assert verdicts(checks) == {
        "device": Verdict.OK,
        "weights content": Verdict.OK,
        "engine import": Verdict.OK,
        "optimisations": Verdict.OK,
        "optimisation b": Verdict.WARN,
    }
    assert only(checks, "optimisations").found == "fit this engine: a"


def test_a_busy_machine_is_no_failure(answers):
    checks = answers(DEVICE, WEIGHTS, hangs=True)
    assert verdicts(checks) == {
        "device": Verdict.OK,
        "weights content": Verdict.OK,
        "engine import": Verdict.WARN,
    }
    late = only(checks, "engine import")
    assert "took longer than" in late.found
    assert late.found.endswith("were not checked")
    assert "every start of af3opt is slow" in late.fix
    assert verdicts(answers(hangs=True)) == {"engine import": Verdict.WARN}


def test_what_is_broken_fails_with_its_fix(answers):
    checks = answers(
        '{"device_error": "JAX cannot use it; use the CPU"}',
        '{"weights_error": "cut off"}',
        '{"engine_error": "ImportError: no cpp"}',
    )
    assert set(verdicts(checks).values()) == {Verdict.FAIL}
    assert (checks[0].found, checks[0].fix) == ("JAX cannot use it", "use the CPU")
    assert "--model_dir" in only(checks, "weights content").fix
    assert verdicts(answers()) == {"engine import": Verdict.FAIL}


def test_missing_component_data_is_one_failure(answers):
    """The check of the engine itself reports it."""
    checks = answers(DEVICE, '{"no_component_data": true}')
    assert only(checks, "engine import") == Check(
        "engine import", Verdict.SKIP, "needs the component data"
    )


@pytest.mark.parametrize(
    ("words", "name", "found"),
    [
        (
            "F1201 parse_flags_from_env.cc:234] Unknown flags in XLA_FLAGS: --xla_no=1",
            "XLA flags",
            "XLA ends every program that has them: Unknown flags in XLA_FLAGS: --xla_no=1",
        ),
        (
            "Traceback\nlibcuda: no such symbol",
            "engine import",
            "the process that imported the engine died: libcuda: no such symbol",
        ),
        ("", "engine import", "the process that imported the engine died: it said nothing"),
    ],
)
def test_last_words_of_the_probe_are_told(answers, words, name, found):
    (check,) = answers(errors=words)
    assert (check.name, check.verdict, check.found) == (name, Verdict.FAIL, found)


def test_missing_weights_are_reported_once(answers, tmp_path):
    (tmp_path / "af3.bin").unlink()
    assert "weights content" not in verdicts(answers(DEVICE, '{"weights_error": "none"}'))


def test_the_probe_says_what_breaks(monkeypatch, capsys, tmp_path):
    def broken(*_):
        raise SetupError("no such device; use another")

    monkeypatch.setattr("af3opt.inference.device.choose_device", broken)
    monkeypatch.setattr("af3opt.data.bootstrap.bootstrap_engine", lambda: 1 / 0)
    engine_probe._look_at_device("gpu")
    engine_probe._look_at_engine("cpu", "xla")
    engine_probe._look_at_weights(tmp_path / "none")
    said = {}
    for line in capsys.readouterr().out.splitlines():
        said |= json.loads(line)
    assert said["device_error"] == "no such device; use another"
    assert said["engine_error"] == "ZeroDivisionError: division by zero"
    assert "no such directory" in said["weights_error"]


@pytest.mark.engine
@pytest.mark.slow
def test_on_this_machine(prepared_home, small_weights):
    completed = subprocess.run(
        [
            *(sys.executable, "-m", "af3opt", "doctor", "--json", "--norun_data_pipeline"),
            f"--model_dir={small_weights}",
        ],
        cwd=REPOSITORY,
        env=dict(os.environ),
        capture_output=True,
        text=True,
        check=False,
    )
    assert completed.returncode == 0, completed.stdout + completed.stderr
    names = [check["name"] for check in json.loads(completed.stdout)["checks"]]
    assert {"python", "engine", "jax", "weights", "CPU", "backend", "compile cache"} <= {*names}
    assert find_engine().label in completed.stdout


def test_an_optional_package_that_is_missing_is_offered():
    missing = "colabfold-kernels is not installed"
    _, package, function = model._optimisations(
        {"msa_depth": None, "fused_pair_kernels": missing, "atom_slots": "unknown"},
        ["fused_pair_kernels"],
    )
    assert missing in package.found
    assert "install it" in package.fix
    assert "nothing" in function.fix
