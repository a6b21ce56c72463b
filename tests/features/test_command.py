"""`af3opt featurise` fills the cache that a run then finds."""

import datetime
import os
import shutil
import subprocess
import sys

import pytest

from tests.conftest import REPOSITORY
from tests.features.conftest import load_example

pytestmark = [pytest.mark.engine, pytest.mark.slow]


def _featurise(tmp_path, *flags):
    command = [sys.executable, "-m", "af3opt", "featurise", f"--input_dir={tmp_path / 'in'}"]
    return subprocess.run(
        [*command, f"--feature_cache_dir={tmp_path / 'cache'}", *flags],
        cwd=REPOSITORY,
        env=os.environ,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def inputs(tmp_path):
    (tmp_path / "in").mkdir()
    shutil.copy(REPOSITORY / "examples" / "msa_given.json", tmp_path / "in")
    return tmp_path


def test_features_of_the_given_inputs_are_found_later(engine, inputs):
    from af3opt.engine.inputs import load_fold_inputs, make_ccd
    from af3opt.features.cache import FeatureCache
    from af3opt.features.options import FeatureOptions
    from af3opt.settings.upstream import DEFAULT_BUCKETS

    completed = _featurise(inputs)
    assert completed.returncode == 0, completed.stderr
    (fold_input,) = load_fold_inputs(REPOSITORY / "examples" / "msa_given.json")
    cache = FeatureCache.in_directory(inputs / "cache")
    options = FeatureOptions(
        buckets=DEFAULT_BUCKETS, ref_max_modified_date=datetime.date(2021, 9, 30)
    )
    key = cache.key(fold_input, make_ccd(), options)
    assert cache.load(key, fold_input.rng_seeds[0]) is not None


def test_inputs_that_cannot_be_featurised_are_named(engine, inputs):
    (fold_input,) = load_example("ubiquitin")
    text = fold_input.to_json()
    for empty in ('"unpairedMsa": ""', '"pairedMsa": ""', '"templates": []'):
        text = text.replace(empty, f"{empty.partition(':')[0]}: null")
    (inputs / "in" / "searched_later.json").write_text(text)
    (inputs / "in" / "broken.json").write_text("{")
    completed = _featurise(inputs)
    assert completed.returncode == 3, completed.stderr
    assert "broken.json" in completed.stderr
    assert "ubiquitin: cannot be featurised" in completed.stderr
    assert "1 inputs featurised" in completed.stderr


@pytest.mark.parametrize("flag", ["--json_path=x.json", "--nofeature_cache"])
def test_contradictions_are_one_line(engine, inputs, flag):
    completed = _featurise(inputs, flag)
    assert completed.returncode == 2
    assert len(completed.stderr.strip().splitlines()) == 1
