"""The feature cache: same bits, no hit for anything else, and reasons why."""

import dataclasses
import datetime
import json
import os
import subprocess
import sys

import numpy as np
import pytest

from tests.conftest import REPOSITORY
from tests.features.batches import assert_same_batch
from tests.features.conftest import load_example

pytestmark = pytest.mark.engine


@pytest.fixture
def options():
    from af3opt.features.options import FeatureOptions

    return FeatureOptions(buckets=(128, 256), ref_max_modified_date=datetime.date(2021, 9, 30))


@pytest.fixture
def make_cache(tmp_path):
    """Opens the same cache as a new process would."""
    from af3opt.features.cache import FeatureCache

    return lambda: FeatureCache.in_directory(tmp_path / "features")


def _batches(fold_input, options, cache=None):
    from af3opt.engine.inputs import make_ccd
    from af3opt.features.featurise import featurise

    ccd = make_ccd(fold_input.user_ccd)
    return dict(featurise(fold_input, fold_input.rng_seeds, ccd, options, cache=cache))


def _key(fold_input, options, cache):
    from af3opt.engine.inputs import make_ccd

    return cache.key(fold_input, make_ccd(fold_input.user_ccd), options)


@pytest.mark.parametrize(
    "name",
    ["zinc_finger_ion", "modified_residue", "protein_ligand_smiles", "user_ccd_ligand", "glycan"],
)
def test_a_stored_batch_is_the_one_that_was_made(engine, options, make_cache, name):
    (fold_input,) = load_example(name)
    made = _batches(fold_input, options)
    _batches(fold_input, options, make_cache())
    cache = make_cache()
    for seed, batch in made.items():
        loaded = cache.load(_key(fold_input, options, cache), seed)
        assert loaded is not None
        assert_same_batch(loaded, batch)
    assert cache.manager.stats().quarantined == 0


def test_seeds_share_one_entry(engine, options, make_cache):
    (fold_input,) = load_example("ubiquitin")
    cache = make_cache()
    _batches(fold_input, options, cache)
    kinds = sorted(info.header.material["kind"] for info in cache.manager.entries())
    assert kinds == ["features", "seed features", "seed features", "seed features", "tokens"]
    key = _key(fold_input, options, cache)
    assert cache.load(key, 1)["msa"] is cache.load(key, 2)["msa"]
    assert cache.load(key, 4) is None


def test_other_buckets_with_the_same_size_hit(engine, options, make_cache):
    (fold_input,) = load_example("ubiquitin", seeds=(1,))
    _batches(fold_input, options, make_cache())
    cache = make_cache()
    same = dataclasses.replace(options, buckets=(128, 512))
    other = dataclasses.replace(options, buckets=(80, 128))
    assert cache.load(_key(fold_input, same, cache), 1) is not None
    assert cache.load(_key(fold_input, other, cache), 1) is None


@pytest.mark.parametrize(
    "change",
    [
        {"resolve_msa_overlaps": False},
        {"fix_standalone_glycans": True},
        {"conformer_max_iterations": 3},
        {"ref_max_modified_date": datetime.date(2020, 1, 1)},
    ],
    ids=lambda change: next(iter(change)),
)
def test_another_option_misses(engine, options, make_cache, change):
    (fold_input,) = load_example("ubiquitin", seeds=(1,))
    _batches(fold_input, options, make_cache())
    cache = make_cache()
    assert cache.load(_key(fold_input, dataclasses.replace(options, **change), cache), 1) is None


def test_another_alignment_or_component_misses(engine, options, make_cache):
    (fold_input,) = load_example("ubiquitin", seeds=(1,))
    _batches(fold_input, options, make_cache())
    cache = make_cache()
    (chain,) = fold_input.chains
    changed = type(chain)(
        id=chain.id,
        sequence=chain.sequence,
        ptms=chain.ptms,
        unpaired_msa=f">query\n{chain.sequence}\n>x\n{chain.sequence[:-1]}-\n",
        paired_msa="",
        templates=[],
    )
    other = dataclasses.replace(fold_input, chains=[changed])
    assert cache.load(_key(other, options, cache), 1) is None


@pytest.mark.parametrize("software", ["engine", "rdkit", "numpy"])
def test_other_software_misses_and_verify_says_why(
    engine, options, make_cache, monkeypatch, software
):
    from af3opt.commands._cache_explain import explain_entries
    from af3opt.features import key as key_module

    (fold_input,) = load_example("ubiquitin", seeds=(1,))
    cache = make_cache()
    _batches(fold_input, options, cache)
    for _, reasons in explain_entries("features", cache.manager):
        assert reasons == []
    material = key_module.environment_material()
    changed = material | {"versions": material["versions"] | {software: "another"}}
    monkeypatch.setattr(key_module, "environment_material", lambda: changed)
    later = make_cache()
    assert later.load(_key(fold_input, options, later), 1) is None
    explained = list(explain_entries("features", later.manager))
    assert explained
    for _, reasons in explained:
        assert len(reasons) == 1
        assert reasons[0].startswith(f"not used now: versions.{software}: entry has ")
        assert reasons[0].endswith("now another")


def test_other_code_of_our_own_or_another_variable_of_the_engines_misses(
    engine, options, make_cache, monkeypatch
):
    from af3opt.features import own_material
    from af3opt.features.conformer_store import software_material

    (fold_input,) = load_example("ubiquitin", seeds=(1,))
    cache = make_cache()
    _batches(fold_input, options, cache)
    conformers = software_material()
    later = make_cache()
    assert later.load(_key(fold_input, options, later), 1) is not None
    with monkeypatch.context() as context:
        context.setattr(own_material, "sources_digest", lambda *_: "another")
        assert later.load(_key(fold_input, options, later), 1) is None
        assert software_material() != conformers
    with monkeypatch.context() as context:
        context.setenv("AF3_NO_CENTRE_CONFORMERS", "1")
        assert later.load(_key(fold_input, options, later), 1) is None
        assert software_material() != conformers
    assert later.load(_key(fold_input, options, later), 1) is not None


def test_verify_names_the_option_that_sets_siblings_apart(engine, options, make_cache):
    from af3opt.commands._cache_explain import explain_entries

    (fold_input,) = load_example("ubiquitin", seeds=(1,))
    cache = make_cache()
    _batches(fold_input, options, cache)
    _batches(fold_input, dataclasses.replace(options, resolve_msa_overlaps=False), cache)
    reasons = [text for _, found in explain_entries("features", cache.manager) for text in found]
    assert reasons
    assert all("options.resolve_msa_overlaps: entry has True" in text for text in reasons)


def test_a_hit_knows_what_it_saved(engine, options, make_cache):
    from af3opt.engine.inputs import make_ccd
    from af3opt.features.featurise import JobFeatures

    (fold_input,) = load_example("ubiquitin", seeds=(1,))
    cache = make_cache()
    key = _key(fold_input, options, cache)
    batch = _batches(fold_input, options, cache)[1]
    took = cache.seconds_to_make(key, 1, batch)
    assert took > 0
    job = JobFeatures(fold_input, make_ccd(fold_input.user_ccd), options, cache=cache)
    assert job.features(1).seconds_saved == took
    assert cache.seconds_to_make(key, 2, batch) == 0


def test_a_number_of_tokens_that_cannot_be_read_is_made_again(engine, options, make_cache, caplog):
    from af3opt.features.compress import compress_features

    (fold_input,) = load_example("ubiquitin", seeds=(1,))
    cache = make_cache()
    key = _key(fold_input, options, cache)
    _batches(fold_input, options, cache)
    for content in (b"nonsense", compress_features({"other": np.array(1)}).to_bytes()):
        cache.manager.put(key.tokens(), [content])
        assert cache.load(key, 1) is None
        assert "cannot be decoded" in caplog.text
        caplog.clear()
        _batches(fold_input, options, cache)
        assert cache.load(key, 1) is not None


def test_a_damaged_entry_is_made_again(engine, options, make_cache, caplog):
    (fold_input,) = load_example("ubiquitin", seeds=(1,))
    made = _batches(fold_input, options, make_cache())
    manager = make_cache().manager
    for info in list(manager.entries()):
        content = bytearray(info.path.read_bytes())
        content[len(content) // 2] ^= 4
        info.path.write_bytes(content)
    again = _batches(fold_input, options, make_cache())
    assert_same_batch(again[1], made[1])
    assert "checksum" in caplog.text
    cache = make_cache()
    assert cache.load(_key(fold_input, options, cache), 1) is not None


def test_stored_conformers_give_the_same_bits(engine, options, tmp_path):
    from af3opt.caching.manager import CacheManager
    from af3opt.features.cache import FeatureCache
    from af3opt.features.conformer_store import ConformerStore
    from af3opt.features.conformers import conformer_memory

    (fold_input,) = load_example("protein_ligand_smiles", seeds=(1, 2))
    made = _batches(fold_input, options)
    for attempt in ("first", "second"):
        conformer_memory.cache_clear()
        store = ConformerStore(CacheManager("conformer cache", tmp_path / "conformers"))
        cache = FeatureCache(CacheManager("feature cache", tmp_path / attempt), store)
        embedded = _batches(fold_input, options, cache)
        for seed, batch in made.items():
            assert_same_batch(embedded[seed], batch)
    assert store.load(1, None)
    assert store._manager.stats().hits > 0


def test_the_command_lists_verifies_and_clears(engine, options, tmp_path, make_cache):
    (fold_input,) = load_example("ubiquitin", seeds=(1,))
    _batches(fold_input, options, make_cache())

    def run(*arguments):
        command = [sys.executable, "-m", "af3opt", "cache", *arguments, "--cache=features"]
        return subprocess.run(
            [*command, f"--feature_cache_dir={tmp_path / 'features'}"],
            cwd=REPOSITORY,
            env=os.environ,
            capture_output=True,
            text=True,
            check=False,
        )

    listing = json.loads(run("ls", "--json").stdout)["features"]
    assert {entry["what"].split(" ubiquitin")[0] for entry in listing} >= {"tokens", "features"}
    assert json.loads(run("stats", "--json").stdout)["features"]["entries"] == 3
    explained = run("verify", "--explain")
    assert explained.returncode == 0, explained.stderr
    assert explained.stdout.count("used for its input with today's software") == 3
    assert run("prune").returncode == 2
    assert run("prune", "--max_gb=1").returncode == 0
    assert "removed 3 entries" in run("clear").stdout
