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


def test_the_cache_stays_within_the_size_that_is_given(engine, inputs):
    """No entry fits into one kilobyte."""
    assert _featurise(inputs, "--feature_cache_gb=0.000001").returncode == 0
    entries = [path for path in (inputs / "cache").rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in entries) < 100_000


def test_a_million_seeds_come_in_parts(engine, inputs):
    import itertools

    from af3opt.commands.featurise import _SEEDS_AT_ONCE, _jobs
    from af3opt.execution.planning.plan import read_jobs
    from af3opt.features.options import FeatureOptions

    plan = read_jobs(inputs / "in" / "msa_given.json")
    refused = []
    jobs = _jobs(plan, 1_000_000, FeatureOptions(buckets=(128,)), refused)
    first, second = itertools.islice(jobs, 2)
    assert len(first.seeds) == len(second.seeds) == _SEEDS_AT_ONCE
    assert second.seeds[0] == first.seeds[-1] + 1
    assert refused == []
