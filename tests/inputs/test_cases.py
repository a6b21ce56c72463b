"""Inputs that users had trouble with, through the commands themselves."""

import json
import os
import re
import shutil
import subprocess
import sys

import pytest

from af3opt import cli
from af3opt.base.errors import ExitCode
from tests.conftest import REPOSITORY

pytestmark = pytest.mark.engine

CASES = REPOSITORY / "tests" / "testdata" / "cases"

REFUSED = {
    "lower_case_protein": r"chain A: sequence: has lower-case letters at positions 1-20",
    "msa_partly_set": r"chain A: unpairedMsa is set and pairedMsa is not \(its path is empty\)",
    "msa_ragged": r"chain A: unpairedMsa: row 2 \(>r\) has 9 columns, the query has 20",
    "msa_dots": r"chain A: unpairedMsa: row 2 \(>r\) has '\.' at position 8",
    "msa_stop": r"chain A: unpairedMsa: row 2 \(>r\) has '\*' at position 20",
    "template_indices_one_based": (
        r"chain A: templates: template 1: queryIndices: 20 is beyond the sequence of 20 residues"
        r".*count from 1"
    ),
    "template_query_beyond": r"chain A: templates: template 1: queryIndices: 20 is beyond",
    "ligand_unknown_codes": (
        r"chain B: ccdCodes: 'UNL' has no atom .*; chain C: ccdCodes: 'UNX' has no atom"
    ),
}


@pytest.mark.parametrize("command", ["run", "featurise"])
@pytest.mark.parametrize("case", REFUSED)
def test_it_is_refused_in_one_line(
    case, command, tmp_path, capfd, monkeypatch, prepared_home, small_weights
):
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    path, output = CASES / f"{case}.json", tmp_path / "out"
    flags = [f"--output_dir={output}", f"--model_dir={small_weights}", "--jax_backend=cpu"]
    if command == "featurise":
        flags = [f"--feature_cache_dir={output}"]
    capfd.readouterr()
    code = cli.main([command, f"--json_path={path}", "--quiet", *flags])
    printed = capfd.readouterr()
    assert code == ExitCode.USAGE, printed.err
    (line,) = printed.err.splitlines()
    assert line.startswith(f"af3opt: error: {path}: ")
    assert re.search(REFUSED[case], line), line
    assert not output.exists()


def af3opt(command, *flags):
    """Runs a command on its own and returns the completed process."""
    return subprocess.run(
        [sys.executable, "-m", "af3opt", command, *flags],
        cwd=REPOSITORY,
        env={**os.environ, "JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
@pytest.mark.parametrize("command", ["run", "featurise"])
def test_a_chain_that_is_left_out_is_said_once(command, tmp_path, prepared_home):
    flags = [f"--output_dir={tmp_path}", "--norun_inference"]
    if command == "featurise":
        flags = [f"--feature_cache_dir={tmp_path}"]
    done = af3opt(command, f"--json_path={CASES / 'all_unknown_chain.json'}", *flags)
    assert done.returncode == ExitCode.OK, done.stderr
    said = [line for line in done.stderr.splitlines() if "WARNING" in line]
    assert len(said) == 1, done.stderr
    assert "chain B: all residues are unknown; AlphaFold 3 leaves such a chain out" in said[0]
    assert "modelled as" not in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_bad_job_of_a_list_leaves_the_others(place, tmp_path, prepared_home, small_weights):
    content = json.loads((CASES / "server_list_bad_middle.json").read_text())
    content.insert(place, content.pop(1))
    path, output = tmp_path / "list.json", tmp_path / "out"
    path.write_text(json.dumps(content))
    flags = ["--norun_inference"]
    if place == 1:
        flags = ["--num_recycles=1", "--num_diffusion_samples=1", f"--model_dir={small_weights}"]
        flags.append("--num_diffusion_steps=5")
    done = af3opt("run", f"--json_path={path}", f"--output_dir={output}", *flags)
    assert done.returncode == ExitCode.SOME_FAILED, done.stderr
    (failed,) = json.loads((output / "failed.json").read_text())
    assert failed["name"] == "glyco"
    assert (
        f"list.json: job {place + 1} (glyco): chain A: glycans: AlphaFold 3 does not take"
        in (failed["reason"])
    )
    wanted = "{0}_data.json" if place != 1 else "{0}_model.cif"
    for name in ("first", "third"):
        assert (output / name / wanted.format(name)).is_file()
    assert not (output / "glyco").exists()


@pytest.mark.slow
def test_a_bad_job_of_a_list_leaves_the_others_to_be_featurised(tmp_path, prepared_home):
    shutil.copy(CASES / "server_list_bad_middle.json", tmp_path / "list.json")
    done = af3opt(
        "featurise", f"--json_path={tmp_path / 'list.json'}", f"--feature_cache_dir={tmp_path}"
    )
    assert done.returncode == ExitCode.SOME_FAILED, done.stderr
    assert "job 2 (glyco): chain A: glycans" in done.stderr
    assert "2 inputs featurised" in done.stderr
    assert "1 failed" in done.stderr
