"""What makes two runs the same work."""

import dataclasses
import os

import pytest

from af3opt.base.version import DECIDING, deciding_versions, installed_version
from af3opt.execution.job.identity import Computing, data_identity, differences, run_identity
from af3opt.settings.settings import resolve_settings

COMPUTING = Computing(
    weights="w", engine="e", backend="cpu", buckets=(16,), versions=deciding_versions()
)


def identity(computing):
    settings = resolve_settings([], {})
    return run_identity(settings, computing, resolved_input="r", first_seed=1)


def test_searches_in_a_copy_of_the_databases_are_the_same_and_in_others_are_not(tmp_path):
    def data(directory):
        settings = resolve_settings([f"--db_dir={tmp_path / directory}"], {})
        given = {"input_digest": "i", "engine_fingerprint": "e", "variables": {}}
        return data_identity(settings, searched=True, **given)

    name = resolve_settings([], {}).uniref90_database_path.removeprefix("${DB_DIR}/")
    for directory, content in (("a", b">x\nACDEF\n"), ("b", b">x\nACDEF\n"), ("c", b">x\nACDEG\n")):
        (tmp_path / directory).mkdir()
        (tmp_path / directory / name).write_bytes(content)
    assert data("a").digest == data("b").digest
    assert data("a").digest != data("c").digest


@pytest.mark.timeout(60)
def test_a_pipe_in_place_of_a_database_is_not_waited_for(tmp_path):
    settings = resolve_settings([f"--db_dir={tmp_path}"], {})
    pipe = tmp_path / settings.uniref90_database_path.removeprefix("${DB_DIR}/")
    os.mkfifo(pipe)
    given = {"input_digest": "i", "engine_fingerprint": "e", "variables": {}}
    found = data_identity(settings, searched=True, **given)
    assert found.parts["uniref90_database_path"] is None


def test_shards_count_though_a_file_has_the_name_of_their_specification(tmp_path):
    flags = [f"--db_dir={tmp_path}", "--uniref90_database_path=${DB_DIR}/u@1.fasta"]
    settings = resolve_settings(flags, {})
    given = {"input_digest": "i", "engine_fingerprint": "e", "variables": {}}

    def digest():
        return data_identity(settings, searched=True, **given).digest

    (tmp_path / "u@1.fasta").touch()
    shard = tmp_path / "u-00000-of-00001.fasta"
    shard.write_bytes(b">x\nACDEF\n")
    before = digest()
    shard.write_bytes(b">x\n")
    assert digest() != before


def test_every_deciding_package_counts():
    assert set(deciding_versions()) == {"af3opt_code", *DECIDING}
    for name in ("jax", "jaxlib", "numpy", "rdkit"):
        assert deciding_versions()[name] == installed_version(name) is not None


@pytest.mark.parametrize("name", sorted(deciding_versions()))
def test_another_version_is_another_run(name):
    changed = {**deciding_versions(), name: "99"}
    other = identity(dataclasses.replace(COMPUTING, versions=changed))
    assert other.digest != identity(COMPUTING).digest
    (line,) = differences(identity(COMPUTING).parts, other.parts)
    assert line.startswith(f"{name}: ")


@pytest.mark.parametrize("name", ["JAX_RANDOM_SEED_OFFSET", "JAX_ENABLE_X64", "XLA_FLAGS"])
def test_a_variable_that_changes_results_is_another_run_and_is_named(name):
    other = identity(dataclasses.replace(COMPUTING, variables={name: "7"}))
    assert other.digest != identity(COMPUTING).digest
    assert differences(identity(COMPUTING).parts, other.parts) == [f'{name}: null -> "7"']


def test_a_variable_of_the_engines_is_another_search():
    def data(searched, **variables):
        settings = resolve_settings([], {})
        given = {"input_digest": "i", "engine_fingerprint": "e", "variables": variables}
        return data_identity(settings, searched=searched, **given).digest

    assert data(True, AF3_ODD="1") != data(True)
    assert data(False, AF3_ODD="1") == data(False)


def test_runs_of_before_versions_counted_are_explained():
    old = identity(dataclasses.replace(COMPUTING, versions={})).parts
    named = {line.partition(":")[0] for line in differences(old, identity(COMPUTING).parts)}
    missing = {name for name, version in deciding_versions().items() if version is None}
    assert named == set(deciding_versions()) - missing
