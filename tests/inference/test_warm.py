"""`af3opt warm`: what it compiles is what a run then starts with."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from af3opt.base.errors import UsageError
from af3opt.commands import warm
from af3opt.data.bootstrap import bootstrap_engine
from af3opt.engine.model import device_features
from af3opt.inference.compiled import batch_signature
from af3opt.inference.example import example_batch
from af3opt.settings.settings import resolve_settings

REPOSITORY = Path(__file__).parents[2]


def test_needs_to_be_told_what_to_compile():
    with pytest.raises(UsageError, match="--buckets"):
        warm.main(["--model_dir=somewhere"])


def test_folder_must_exist_and_have_a_value(tmp_path):
    with pytest.raises(UsageError, match="no such directory"):
        warm.main([f"--from_inputs={tmp_path / 'none'}"])
    with pytest.raises(UsageError, match="needs a directory"):
        warm.main(["--from_inputs"])


@pytest.mark.parametrize("depths", ["", "0", "-1", "16,,all", "some", "1.5"])
def test_depths_are_rows_or_all(depths):
    with pytest.raises(UsageError, match="--msa_depths"):
        warm.main(["--buckets=8", f"--msa_depths={depths}"])


def test_unknown_flags_are_refused():
    with pytest.raises(UsageError, match="no_such_flag"):
        warm.main(["--buckets=8", "--no_such_flag"])


def test_help(capsys):
    assert warm.main(["--help"]) == 0
    assert "--from_inputs" in capsys.readouterr().out


@pytest.mark.engine
def test_example_has_the_shapes_of_any_input_of_the_bucket(tiny_batch):
    bootstrap_engine()
    example = example_batch(8, resolve_settings([], {}))
    assert batch_signature(device_features(example)) == batch_signature(device_features(tiny_batch))


@pytest.mark.engine
@pytest.mark.slow
def test_second_time_everything_is_there(small_weights, tmp_path):
    def warm_up(*flags):
        command = [sys.executable, "-m", "af3opt", "warm", "--jax_backend=cpu"]
        shape = ["--num_recycles=1", "--num_diffusion_samples=1", f"--model_dir={small_weights}"]
        completed = subprocess.run(
            [*command, *shape, f"--jax_compilation_cache_dir={tmp_path / 'cache'}", *flags],
            env=dict(os.environ),
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert completed.returncode == 0, completed.stderr
        return re.findall(r"Model for (\d+) tokens: (\w+)", completed.stderr)

    # Three rows are rounded up to 16; "all" is a model of its own.
    few_and_all = ("--buckets=8", "--msa_depths=3,16,all")
    assert warm_up(*few_and_all) == [("8", "traced")] * 2
    assert warm_up(*few_and_all) == [("8", "loaded")] * 2
    inputs = tmp_path / "inputs"
    inputs.mkdir()
    (inputs / "one.json").write_text(
        '{"name": "one", "modelSeeds": [1], "dialect": "alphafold3", "version": 1,'
        ' "sequences": [{"protein": {"id": "A", "sequence": "GAG"}}]}'
    )
    ours = (f"--from_inputs={inputs}", "--buckets=8,16")
    assert warm_up(*ours, "--norun_data_pipeline") == [("8", "loaded")]
    # An input that is still to be searched may get an MSA of any depth.
    assert warm_up(*ours, "--msa_depths=1,all") == [("8", "loaded")] * 2
