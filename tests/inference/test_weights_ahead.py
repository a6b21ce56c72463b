"""Weights copied by another process while this one imports the engine."""

import hashlib
import io
import os
import subprocess
import types

import numpy as np
import pytest
import zstandard
from ml_dtypes import bfloat16

from af3opt.base.child_process import module_command
from af3opt.base.errors import SetupError
from af3opt.data.bootstrap import bootstrap_engine
from af3opt.engine.modules import engine_module
from af3opt.inference.weights import abstract_parameters, announced_weights, load_weights
from af3opt.inference.weights_ahead import _Ahead, digest_ahead, take_ahead, weights_ahead
from af3opt.inference.weights_copy import (
    ReadFiles,
    copy_directory,
    file_digest,
    file_states,
    make_copy,
    open_copy,
)
from af3opt.inference.weights_format import find_weight_files

pytestmark = pytest.mark.engine

ARRAYS = {
    ("__meta__", "__identifier__"): np.arange(32, dtype=np.uint8),
    ("diffuser/linear", "weights"): np.arange(6, dtype=np.float32).reshape(2, 3),
    ("diffuser/evoformer", "weights"): np.linspace(-1, 1, 6).reshape(3, 2).astype(bfloat16),
    # Back in a scope that a file has left already.
    ("diffuser/linear", "bias"): np.array(2.5, np.float32),
}


@pytest.fixture(autouse=True)
def engine(small_weights, tmp_path, monkeypatch):
    bootstrap_engine()
    monkeypatch.setenv("AF3OPT_HOME", str(tmp_path / "home"))


def encoded():
    encode_record = engine_module("model.params").encode_record
    return b"".join(encode_record(scope, name, value) for (scope, name), value in ARRAYS.items())


@pytest.fixture
def model_dir(tmp_path):
    directory = tmp_path / "model"
    directory.mkdir()
    (directory / "af3.bin.zst").write_bytes(zstandard.ZstdCompressor().compress(encoded()))
    return directory


def left_in_home(tmp_path):
    return sorted(path.name for path in (tmp_path / "home" / "weights").glob("*"))


def test_the_copy_is_the_file_and_is_kept(model_dir):
    files = find_weight_files(model_dir)
    with weights_ahead(model_dir):
        mapped = take_ahead(files)
        assert mapped is not None
        read = {(one.scope, one.name): np.array(one.array) for one in mapped.records}
    assert read.keys() == ARRAYS.keys()
    for key, value in ARRAYS.items():
        np.testing.assert_array_equal(read[key], value)
    kept = open_copy(files)
    assert kept is not None
    assert kept.sha256 == mapped.sha256


def test_what_the_weights_are_is_known_before_the_copy_is_written(model_dir):
    import jax

    device = jax.local_devices(backend="cpu")[0]
    with weights_ahead(model_dir):
        layout = announced_weights(model_dir)
        assert layout is not None
        loaded = load_weights(model_dir, device)
    known = abstract_parameters(layout)
    assert known == abstract_parameters(loaded.layout)
    given = jax.tree.map(
        lambda array: jax.ShapeDtypeStruct(array.shape, array.dtype), loaded.params
    )
    assert known == given
    assert announced_weights(model_dir) is None


def test_a_copy_made_ahead_has_the_digest_that_was_told_of_the_files(model_dir):
    files = find_weight_files(model_dir)
    with weights_ahead(model_dir):
        told = digest_ahead(files)
        mapped = take_ahead(files)
    assert told == hashlib.sha256((model_dir / "af3.bin.zst").read_bytes()).hexdigest()
    assert mapped is not None
    assert mapped.sha256 == told
    assert digest_ahead(files) is None


def test_no_copy_is_kept_of_files_that_changed_after_they_were_read(model_dir, tmp_path):
    files = find_weight_files(model_dir)
    read = ReadFiles(file_digest(files), file_states(files))
    os.utime(model_dir / "af3.bin.zst", (1, 1))
    with pytest.raises(SetupError, match="changed while it was read"):
        make_copy(files, known=read)
    assert left_in_home(tmp_path) == [f"{copy_directory(files).name}.lock"]


def test_nothing_is_announced_of_weights_that_cannot_be_used(model_dir):
    (model_dir / "af3.bin.zst").write_bytes(zstandard.ZstdCompressor().compress(encoded()[:-1]))
    with weights_ahead(model_dir):
        assert announced_weights(model_dir) is None
        with pytest.raises(SetupError, match="damaged or incomplete"):
            load_weights(model_dir, None)


def test_nothing_is_announced_of_a_file_that_has_changed_since(model_dir):
    with weights_ahead(model_dir):
        assert announced_weights(model_dir) is not None
        os.utime(model_dir / "af3.bin.zst", (1, 1))
        assert announced_weights(model_dir) is None


@pytest.mark.parametrize("said", ["", "0", '0\n{"arrays": [', '0\n{"arrays": [], "sha256": "0"}\n'])
def test_a_process_that_is_killed_gives_no_copy(model_dir, said):
    process = types.SimpleNamespace(stdout=io.StringIO(said))
    assert _Ahead(find_weight_files(model_dir), process, []).scratch() is None


def test_loading_takes_what_was_made_ahead(model_dir, monkeypatch):
    import jax

    def not_wanted(*_args, **_options):
        raise AssertionError("the weights were read a second time")

    monkeypatch.setattr("af3opt.inference.weights.make_copy", not_wanted)
    with weights_ahead(model_dir):
        loaded = load_weights(model_dir, jax.local_devices(backend="cpu")[0])
    assert loaded.source == "mapped copy"
    np.testing.assert_array_equal(
        loaded.params["diffuser/linear"]["weights"], ARRAYS["diffuser/linear", "weights"]
    )


def test_nothing_is_begun_beside_a_copy_or_where_the_file_is_not_plain(model_dir, monkeypatch):
    files = find_weight_files(model_dir)
    with weights_ahead(model_dir):
        take_ahead(files)

    def not_wanted(*_args, **_options):
        raise AssertionError("a process was started")

    monkeypatch.setattr("af3opt.inference.weights_ahead.subprocess.Popen", not_wanted)
    with weights_ahead(model_dir):
        assert take_ahead(files) is None
    copy = copy_directory(files)
    copy.rename(copy.with_name("elsewhere"))
    (model_dir / "other.bin").write_bytes(encoded())
    with weights_ahead(model_dir), weights_ahead(model_dir / "absent"):
        assert take_ahead(files) is None
    (model_dir / "other.bin").unlink()
    with weights_ahead(model_dir, wanted=False):
        assert take_ahead(files) is None


def test_a_copy_nobody_takes_leaves_nothing_half_written(model_dir, tmp_path):
    # Large enough to be unfinished when the block is left.
    value = np.random.default_rng(0).random(1 << 25, np.float32)
    record = engine_module("model.params").encode_record("diffuser/large", "weights", value)
    (model_dir / "af3.bin.zst").write_bytes(
        zstandard.ZstdCompressor(level=1).compress(encoded() + record)
    )
    with weights_ahead(model_dir):
        pass
    names = {copy_directory(find_weight_files(model_dir)).name}
    names |= {f"{name}.lock" for name in names}
    assert set(left_in_home(tmp_path)) <= names


def test_process_ends_at_once_when_told_to_while_it_waits_for_the_disk(tmp_path):
    pipe = tmp_path / "af3.bin"
    os.mkfifo(pipe)
    process = subprocess.Popen(
        [*module_command("af3opt.inference.weights_ahead"), str(pipe)], stdout=subprocess.DEVNULL
    )
    # Opens as soon as it is being read, and gives nothing.
    with pipe.open("wb"):
        process.terminate()
        assert process.wait(timeout=20) == 1


def test_damage_is_reported_by_whoever_loads(model_dir):
    import jax

    data = (model_dir / "af3.bin.zst").read_bytes()
    (model_dir / "af3.bin.zst").write_bytes(data[: len(data) // 2])
    with weights_ahead(model_dir), pytest.raises(SetupError, match=r"af3\.bin\.zst"):
        load_weights(model_dir, jax.local_devices(backend="cpu")[0])
