"""Weights: equal to the engine's loader, mapped without copies, never trusted blindly."""

import errno
import fcntl
import hashlib
import json
import os
import random
import shutil
import struct
import threading
from pathlib import Path

import numpy as np
import pytest
import zstandard
from ml_dtypes import bfloat16

from af3opt.base.atomic import temporary_sibling
from af3opt.base.errors import ExitCode, SetupError
from af3opt.data.bootstrap import bootstrap_engine
from af3opt.engine.modules import engine_module
from af3opt.execution.job.weights_digest import weights_digest
from af3opt.inference.weights import ModelWeights, load_weights
from af3opt.inference.weights_copy import (
    FINISHER_THREAD,
    check_copies,
    copy_directory,
    make_copy,
    open_copy,
)
from af3opt.inference.weights_format import find_weight_files
from af3opt.memory.aligned import ALIGNMENT
from af3opt.optimizations.separate_layers import with_separate_layers
from tests.other_user import give_away, needs_root

pytestmark = pytest.mark.engine

ARRAYS = {
    ("__meta__", "__identifier__"): np.arange(32, dtype=np.uint8),
    ("diffuser/linear", "weights"): np.arange(6, dtype=np.float32).reshape(2, 3),
    ("diffuser/linear", "bias"): np.array(2.5, np.float32),
    ("diffuser/odd", "scale"): np.linspace(0, 1, 7, dtype=np.float32),
    # As the trunk of the published parameters is stored.
    ("diffuser/evoformer", "weights"): np.linspace(-1, 1, 6).reshape(3, 2).astype(bfloat16),
}


@pytest.fixture(autouse=True)
def engine(small_weights, tmp_path, monkeypatch):
    bootstrap_engine()
    # Copies belong into a place of this test's own.
    monkeypatch.setenv("AF3OPT_HOME", str(tmp_path / "home"))


@pytest.fixture
def device():
    import jax

    return jax.local_devices(backend="cpu")[0]


def encode(arrays):
    encode_record = engine_module("model.params").encode_record
    return b"".join(encode_record(scope, name, value) for (scope, name), value in arrays.items())


def write_model(directory, layout, arrays=None):
    """Writes a model in one of the layouts that the engine reads; returns the directory."""
    arrays = ARRAYS if arrays is None else arrays
    directory.mkdir()
    data = encode(arrays)
    if ".zst" in layout:
        data = zstandard.ZstdCompressor().compress(data)
    if "{}" not in layout:
        (directory / layout).write_bytes(data)
        return directory
    third = len(data) // 3
    parts = (data[:third], data[third : 2 * third], data[2 * third :])
    for index, part in enumerate(parts):
        (directory / layout.format(index)).write_bytes(part)
    return directory


def finish_copy():
    """Waits for the copy that is flushed to disk in the background."""
    for thread in threading.enumerate():
        if thread.name == FINISHER_THREAD:
            thread.join()


LAYOUTS = ("af3.bin", "af3.bin.zst", "af3.bin.zst.{}", "af3.{}.bin", "af3.{}.bin.zst")


def assert_equal_params(ours, theirs):
    assert {scope: set(names) for scope, names in ours.items()} == {
        scope: set(names) for scope, names in theirs.items()
    }
    for scope, names in theirs.items():
        for name, value in names.items():
            assert ours[scope][name].dtype == value.dtype
            np.testing.assert_array_equal(ours[scope][name], value)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("use_copy", [True, False])
def test_equals_the_engines_loader(layout, use_copy, tmp_path, device):
    model_dir = write_model(tmp_path / "model", layout)
    theirs = engine_module("model.params").get_model_haiku_params(model_dir)
    for _ in range(2):  # the second time from the copy, when there is one
        ours = load_weights(model_dir, device, use_copy=use_copy)
        assert_equal_params(ours.params, theirs)
        assert ours.source == ("mapped copy" if use_copy else "files")
        assert ours.identifier == bytes(range(32))
        finish_copy()


def test_real_weights_equal_the_engines_loader(small_weights, device):
    theirs = engine_module("model.params").get_model_haiku_params(small_weights)
    assert_equal_params(load_weights(small_weights, device).params, theirs)


def test_bfloat16_parameters_stay_bfloat16(tmp_path, device):
    import jax.numpy as jnp

    halved = {key: value for key, value in ARRAYS.items() if key[0] == "__meta__"}
    halved["a", "w"] = np.asarray(jnp.arange(5, dtype=jnp.bfloat16))
    model_dir = write_model(tmp_path / "model", "af3.bin", halved)
    for _ in range(2):
        params = load_weights(model_dir, device).params
        finish_copy()
        assert params["a"]["w"].dtype == jnp.bfloat16
        np.testing.assert_array_equal(params["a"]["w"], halved["a", "w"])


def lies_in(directory, array):
    """Tells whether a JAX array's memory is a mapped file of the directory."""
    maps = Path("/proc/self/maps").read_text().splitlines()
    ranges = [line.split()[0].split("-") for line in maps if str(directory) in line]
    address = array.unsafe_buffer_pointer()
    return any(int(low, 16) <= address < int(high, 16) for low, high in ranges)


@pytest.mark.parametrize("made_before", [False, True])
def test_layers_of_the_sampler_are_read_where_they_lie(small_weights, device, made_before):
    files = find_weight_files(small_weights)
    if made_before:
        make_copy(files, wait=True)
    without_copy = load_weights(small_weights, device, use_copy=False)
    assert without_copy.joined == {}
    expected = with_separate_layers(without_copy.params)
    loaded = load_weights(small_weights, device)
    (operands,) = loaded.joined.values()
    assert list(operands) == ["attention_input"]
    separate = with_separate_layers(loaded.params, loaded.joined)
    assert_equal_params(separate, expected)
    layers = [scope for scope in separate if scope not in loaded.params]
    assert layers
    finish_copy()
    for scope in layers:
        assert all(lies_in(copy_directory(files), array) for array in separate[scope].values())


def test_copy_is_private_aligned_and_used_in_place(tmp_path, device):
    model_dir = write_model(tmp_path / "model", "af3.bin.zst")
    files = find_weight_files(model_dir)
    make_copy(files, wait=True)
    directory = copy_directory(files)
    assert directory.stat().st_mode & 0o777 == 0o700
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in directory.iterdir())
    mapped = open_copy(files)
    assert all(record.array.ctypes.data % ALIGNMENT == 0 for record in mapped.records)
    loaded = load_weights(model_dir, device)
    weights = loaded.params["diffuser/linear"]["weights"]
    assert loaded.sha256 == mapped.sha256
    assert lies_in(directory, weights)


def test_a_home_where_no_lock_can_be_made_costs_the_copy_only(tmp_path, device, caplog):
    model_dir = write_model(tmp_path / "model", "af3.bin")
    copy_directory(find_weight_files(model_dir)).with_suffix(".lock").mkdir(parents=True)
    assert load_weights(model_dir, device).source == "files"
    assert "No local copy of the weights" in caplog.text


def test_model_directory_is_never_written(tmp_path, device):
    model_dir = write_model(tmp_path / "model", "af3.bin")
    model_dir.chmod(0o500)
    before = sorted(model_dir.iterdir())
    load_weights(model_dir, device)
    assert sorted(model_dir.iterdir()) == before


def test_changed_original_makes_the_copy_anew(tmp_path, device):
    model_dir = write_model(tmp_path / "model", "af3.bin")
    load_weights(model_dir, device)
    finish_copy()
    changed = dict(ARRAYS)
    changed["diffuser/linear", "weights"] = ARRAYS["diffuser/linear", "weights"] + 1
    (model_dir / "af3.bin").write_bytes(encode(changed))
    params = load_weights(model_dir, device).params
    np.testing.assert_array_equal(
        params["diffuser/linear"]["weights"], changed["diffuser/linear", "weights"]
    )


@pytest.mark.parametrize("in_place", [True, False])
def test_other_weights_of_equal_size_and_time_are_not_taken_for_the_old_ones(
    in_place, tmp_path, device
):
    model_dir = write_model(tmp_path / "model", "af3.bin")
    path = model_dir / "af3.bin"
    os.utime(path, (0, 0))
    assert weights_digest(model_dir, find_weight_files) == load_weights(model_dir, device).sha256
    finish_copy()
    changed = dict(ARRAYS)
    changed["diffuser/linear", "weights"] = ARRAYS["diffuser/linear", "weights"] + 1
    new = path if in_place else tmp_path / "new"
    new.write_bytes(encode(changed))
    new.rename(path)
    os.utime(path, (0, 0))
    loaded = load_weights(model_dir, device)
    np.testing.assert_array_equal(
        loaded.params["diffuser/linear"]["weights"], changed["diffuser/linear", "weights"]
    )
    assert loaded.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert weights_digest(model_dir, find_weight_files) == loaded.sha256


@pytest.mark.parametrize("use_copy", [True, False])
def test_weights_of_another_digest_than_results_are_recorded_with_are_refused(
    use_copy, tmp_path, device
):
    model_dir = write_model(tmp_path / "model", "af3.bin")
    right = hashlib.sha256((model_dir / "af3.bin").read_bytes()).hexdigest()
    ModelWeights(model_dir, device, use_copy=use_copy, digest=lambda: right).load()
    finish_copy()
    weights = ModelWeights(model_dir, device, use_copy=use_copy, digest=lambda: "0" * 64)
    with pytest.raises(SetupError, match="changed while they were read; run again"):
        weights.load()


def test_weights_that_change_under_the_engines_loader_are_refused(tmp_path, device, monkeypatch):
    model_dir = write_model(tmp_path / "model", "af3.bin")
    params = engine_module("model.params")
    real = params.get_model_haiku_params

    def overtaken(*arguments, **named):
        read = real(*arguments, **named)
        (model_dir / "af3.bin").write_bytes(encode(ARRAYS))
        return read

    monkeypatch.setattr(params, "get_model_haiku_params", overtaken)
    with pytest.raises(SetupError, match="changed while it was read"):
        load_weights(model_dir, device)


def test_touched_but_equal_original_keeps_the_copy(tmp_path):
    model_dir = write_model(tmp_path / "model", "af3.bin")
    files = find_weight_files(model_dir)
    make_copy(files, wait=True)
    inode = (copy_directory(files) / "arrays.bin").stat().st_ino
    os.utime(model_dir / "af3.bin", (1, 1))
    assert open_copy(files) is not None
    assert (copy_directory(files) / "arrays.bin").stat().st_ino == inode


@pytest.mark.parametrize("damage", ["truncate", "touch", "index", "offset"])
def test_damaged_copy_is_not_used(damage, tmp_path, device):
    model_dir = write_model(tmp_path / "model", "af3.bin")
    files = find_weight_files(model_dir)
    make_copy(files, wait=True)
    arrays, index = copy_directory(files) / "arrays.bin", copy_directory(files) / "index.json"
    if damage == "truncate":
        os.truncate(arrays, 10)
    elif damage == "touch":
        arrays.write_bytes(b"x" * arrays.stat().st_size)
        os.utime(arrays, (5, 5))
    elif damage == "index":
        index.write_text("{")
    else:
        content = json.loads(index.read_text())
        content["arrays"][0]["offset"] = 1 << 40
        index.write_text(json.dumps(content))
    assert open_copy(files) is None
    assert_equal_params(
        load_weights(model_dir, device).params,
        engine_module("model.params").get_model_haiku_params(model_dir),
    )


def flip_a_bit(path, position, generator):
    """Flips a bit as failing memory or a disk does: size and time stay."""
    status = path.stat()
    with path.open("r+b") as stream:
        stream.seek(position)
        value = stream.read(1)[0]
        stream.seek(position)
        stream.write(bytes([value ^ 1 << generator.randrange(8)]))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def values_of(mapped):
    return [
        (one.scope, one.name, str(one.array.dtype), one.array.shape, one.array.tobytes())
        for one in (*mapped.records, *mapped.joined)
    ]


@pytest.mark.parametrize("name", ["arrays.bin", "index.json"])
def test_no_flipped_bit_of_a_copy_changes_a_weight(name, tmp_path):
    model_dir = write_model(tmp_path / "model", "af3.bin")
    files = find_weight_files(model_dir)
    make_copy(files, wait=True)
    directory = copy_directory(files)
    expected = values_of(open_copy(files))
    kept = tmp_path / "kept"
    shutil.copytree(directory, kept)
    generator = random.Random(7)
    path = directory / name
    size = path.stat().st_size
    unseen = 0
    for position in generator.sample(range(size), min(size, 400)):
        flip_a_bit(path, position, generator)
        found = open_copy(files)
        assert found is None or values_of(found) == expected
        # A flipped bit in the index's blanks, or the case of a digit, says the same.
        unseen += found is not None
        shutil.copy2(kept / name, path)
    assert unseen == 0 if name == "arrays.bin" else unseen < 50
    assert values_of(open_copy(files)) == expected


def test_a_damaged_copy_is_made_again_with_one_line(tmp_path, device, caplog):
    model_dir = write_model(tmp_path / "model", "af3.bin")
    files = find_weight_files(model_dir)
    make_copy(files, wait=True)
    theirs = engine_module("model.params").get_model_haiku_params(model_dir)
    flip_a_bit(copy_directory(files) / "arrays.bin", 5, random.Random(1))
    assert_equal_params(load_weights(model_dir, device).params, theirs)
    finish_copy()
    warnings = [one for one in caplog.records if one.levelname == "WARNING"]
    assert len(warnings) == 1
    assert "does not have the checksums it was written with; made again" in warnings[0].message
    assert open_copy(files) is not None
    assert [found for _, found in check_copies()] == [None]


@pytest.mark.parametrize("kind", ["file", "fifo", "link", "directory"])
def test_whatever_has_the_copys_name_gives_way(kind, tmp_path, device):
    model_dir = write_model(tmp_path / "model", "af3.bin")
    files = find_weight_files(model_dir)
    directory = copy_directory(files)
    directory.parent.mkdir(mode=0o700, parents=True)
    if kind == "file":
        directory.write_text("in the way")
    elif kind == "fifo":
        os.mkfifo(directory)
    elif kind == "link":
        directory.symlink_to("nowhere")
    else:
        directory.mkdir(mode=0o700)
    assert load_weights(model_dir, device).source == "mapped copy"
    finish_copy()
    assert open_copy(files) is not None
    assert {path.name for path in directory.parent.iterdir()} <= {
        directory.name, f"{directory.name}.lock",
    }  # fmt: skip


def test_checking_names_the_damaged_copy(tmp_path):
    folders = []
    for name in ("one", "two"):
        files = find_weight_files(write_model(tmp_path / name, "af3.bin"))
        make_copy(files, wait=True)
        folders.append(copy_directory(files))
    flip_a_bit(folders[0] / "arrays.bin", 100, random.Random(1))
    (folders[0].parent / "junk").write_text("")
    found = dict(check_copies())
    assert set(found) == set(folders)
    assert "checksums" in found[folders[0]]
    assert found[folders[1]] is None


@needs_root
@pytest.mark.parametrize("level", [".", "arrays.bin", "index.json", ".."])
def test_a_copy_of_another_user_is_not_used(level, tmp_path, caplog):
    files = find_weight_files(write_model(tmp_path / "model", "af3.bin"))
    make_copy(files, wait=True)
    give_away((copy_directory(files) / level).resolve())
    assert open_copy(files) is None
    assert "belongs to user id 65534" in caplog.text


@pytest.mark.parametrize("reason", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_gets_its_copy_all_the_same(
    reason, tmp_path, device, monkeypatch
):
    def no_locks(*_):
        raise OSError(reason, os.strerror(reason))

    monkeypatch.setattr(fcntl, "flock", no_locks)
    model_dir = write_model(tmp_path / "model", "af3.bin")
    files = find_weight_files(model_dir)
    # Another process may be at it: its unfinished copy stays.
    other = temporary_sibling(copy_directory(files))
    other.mkdir(parents=True)
    other.parent.chmod(0o700)
    assert load_weights(model_dir, device).source == "mapped copy"
    finish_copy()
    assert open_copy(files) is not None
    assert other.exists()


def test_copy_that_others_can_write_is_refused(tmp_path, caplog):
    model_dir = write_model(tmp_path / "model", "af3.bin")
    files = find_weight_files(model_dir)
    make_copy(files, wait=True)
    (copy_directory(files) / "arrays.bin").chmod(0o666)
    assert open_copy(files) is None
    assert "writable by others" in caplog.text


def test_quantised_weights_are_left_to_the_engine(tmp_path, device, caplog):
    caplog.set_level("INFO")
    arrays = dict(ARRAYS)
    arrays["diffuser/half", "weights"] = np.arange(4, dtype=np.float16)
    model_dir = write_model(tmp_path / "model", "af3.bin", arrays)
    loaded = load_weights(model_dir, device)
    assert loaded.source == "engine's loader"
    theirs = engine_module("model.params").get_model_haiku_params(model_dir)
    assert_equal_params(loaded.params, theirs)


def test_unknown_engine_loader_is_used_itself(tmp_path, device, monkeypatch):
    params = engine_module("model.params")
    original = params.get_model_haiku_params

    def another_loader(model_dir):
        return original(model_dir)

    monkeypatch.setattr(params, "get_model_haiku_params", another_loader)
    model_dir = write_model(tmp_path / "model", "af3.bin")
    assert load_weights(model_dir, device).source == "engine's loader"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "empty"),
        (b"\x01\x02", "cut off inside a record header"),
        (struct.pack("<5i", -1, 2, 3, 4, 5), "not a parameter record"),
        (b"PK\x03\x04" + b"x" * 100, "not a parameter record"),
    ],
)
def test_damaged_file_is_one_line_with_its_name(content, expected, tmp_path, device):
    model_dir = tmp_path / "model"
    model_dir.mkdir()
    (model_dir / "af3.bin").write_bytes(content)
    with pytest.raises(SetupError, match=expected) as caught:
        load_weights(model_dir, device)
    assert "af3.bin" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code is ExitCode.USAGE


@pytest.mark.parametrize("layout", ["af3.bin", "af3.bin.zst"])
@pytest.mark.parametrize("use_copy", [True, False])
def test_cut_off_file(layout, use_copy, tmp_path, device):
    model_dir = write_model(tmp_path / "model", layout)
    path = model_dir / layout
    os.truncate(path, path.stat().st_size - 5)
    with pytest.raises(SetupError, match="damaged or incomplete"):
        load_weights(model_dir, device, use_copy=use_copy)
    assert not copy_directory(find_weight_files(model_dir)).exists()


def test_missing_and_ambiguous_directories(tmp_path, device):
    with pytest.raises(SetupError, match="no such directory"):
        load_weights(tmp_path / "none", device)
    (tmp_path / "empty").mkdir()
    with pytest.raises(SetupError, match="no model parameters"):
        load_weights(tmp_path / "empty", device)
    model_dir = write_model(tmp_path / "two", "a.bin")
    (model_dir / "b.bin").write_bytes(b"")
    with pytest.raises(SetupError, match="more than one model"):
        load_weights(model_dir, device)
