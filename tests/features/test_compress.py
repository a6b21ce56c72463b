"""Packing loses nothing, whatever the array; optimising loses nothing the model would see."""

import json
import struct

import numpy as np
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from af3opt.features.compress import compress_features, decompress_features
from af3opt.features.optimize import optimize_features

_DTYPES = st.sampled_from(
    ["?", "i1", "i2", "i4", "i8", "u1", "u4", "u8", "f2", "f4", "f8", "c8", "U5", "S3"]
)


def _assert_same_bits(array, restored):
    assert restored.dtype == array.dtype
    assert restored.shape == array.shape
    assert restored.tobytes() == array.tobytes()


def _round_trip(named, **options):
    return decompress_features(compress_features(named, **options).to_bytes())


@settings(max_examples=150, deadline=None)
@given(st.data(), _DTYPES, st.booleans())
def test_any_array_comes_back_bit_for_bit(data, dtype, sparse):
    shape = data.draw(arrays.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5))
    array = data.draw(arrays.arrays(np.dtype(dtype), shape))
    restored, extra = _round_trip({"x": array}, sparse=sparse, extra={"a": [1, None]})
    _assert_same_bits(array, restored["x"])
    assert extra == {"a": [1, None]}


@pytest.mark.parametrize("dtype", ["f4", "f8", "i8", "?"])
@pytest.mark.parametrize("shape", [(100_000,), (100, 40, 30), (5, 4, 5, 6, 300)])
def test_sparse_arrays_of_any_rank(dtype, shape):
    array = np.zeros(shape, dtype)
    places = np.random.default_rng(1).integers(0, array.size, 50)
    array.reshape(-1)[places] = 1
    if array.dtype.kind == "f":
        array.reshape(-1)[places[:3]] = [np.nan, -0.0, np.inf]
        array.reshape(-1)[-1] = -0.0
    packed = compress_features({"x": array})
    assert packed.arrays[0].form == "sparse"
    _assert_same_bits(array, decompress_features(packed.to_bytes())[0]["x"])


def test_payloads_of_nans_survive():
    array = np.array([0x7FC00001, 0xFFC12345, 0x7F800001], np.uint32).view(np.float32)
    _assert_same_bits(array, _round_trip({"x": array})[0]["x"])


def test_integers_are_stored_narrow_and_restored_wide():
    array = np.arange(-3, 100, dtype=np.int64)
    packed = compress_features({"x": array})
    assert packed.arrays[0].stored_dtype == "|i1"
    _assert_same_bits(array, decompress_features(packed.to_bytes())[0]["x"])


def test_views_that_are_not_contiguous():
    array = np.arange(60.0).reshape(3, 4, 5).transpose(2, 0, 1)[::2]
    restored = _round_trip({"x": array})[0]["x"]
    assert restored.flags.c_contiguous
    assert np.array_equal(restored, array)


def test_arrays_keep_their_order_and_can_be_written_into():
    named = {name: np.ones(3) for name in ("b", "a", "c")}
    restored, _ = _round_trip(named)
    assert list(restored) == ["b", "a", "c"]
    restored["b"][0] = 5
    assert restored["a"][0] == 1


def test_objects_are_refused():
    with pytest.raises(TypeError, match="'x' has dtype object"):
        compress_features({"x": np.array({}, dtype=object)})


@pytest.mark.parametrize("cut", [0, 3, 30, -1])
def test_what_is_not_packed_features_is_a_value_error(cut):
    data = compress_features({"x": np.arange(1000)}).to_bytes()
    with pytest.raises(ValueError, match="packed features"):
        decompress_features(data[:cut])


def test_optimising_narrows_what_jax_would_narrow():
    batch = {
        "gather": np.arange(10, dtype=np.int64),
        "mean": np.linspace(0, 1, 5, dtype=np.float64),
        "msa": np.zeros((2, 3), np.int8, order="F"),
        "layout": np.array(None, dtype=object),
    }
    optimized, narrowings = optimize_features(batch)
    assert optimized["gather"].dtype == np.int32
    assert np.array_equal(optimized["mean"], batch["mean"].astype(np.float32))
    assert optimized["msa"].flags.c_contiguous
    assert optimized["layout"] is batch["layout"]
    assert [(one.feature, one.before, one.after) for one in narrowings] == [
        ("gather", "int64", "int32"),
        ("mean", "float64", "float32"),
    ]
    assert narrowings[0].bytes_saved == 40
    assert batch["gather"].dtype == np.int64


def test_optimising_leaves_integers_that_do_not_fit():
    batch = {"big": np.array([2**40])}
    optimized, narrowings = optimize_features(batch)
    assert optimized["big"].dtype == np.int64
    assert narrowings == []


@pytest.mark.engine
def test_optimising_gives_what_jax_makes_of_a_batch(engine):
    import jax.numpy as jnp

    from af3opt.engine.inputs import make_ccd
    from af3opt.features.featurise import featurise
    from af3opt.features.options import FeatureOptions
    from tests.features.conftest import load_example

    (fold_input,) = load_example("zinc_finger_ion")
    (batch,) = (
        batch
        for _, batch in featurise(fold_input, (1,), make_ccd(), FeatureOptions(buckets=(128,)))
    )
    optimized, narrowings = optimize_features(batch)
    assert narrowings
    for name, array in optimized.items():
        if array.dtype.kind in "biufc":
            _assert_same_bits(np.asarray(jnp.asarray(batch[name])), array)


def _forged(**changes):
    """Packed features whose header says something else of the same frame."""
    plain = {"name": "a", "dtype": "<f4", "shape": [4], "form": "dense", "pieces": [["<f4", 4, 0]]}
    header = {"version": 1, "bytes": 16, "arrays": [{**plain, **changes}], "extra": None}
    header |= changes.pop("header", {})
    raw = json.dumps(header).encode()
    frame = zstandard.ZstdCompressor().compress(bytes(16))
    return struct.pack("<I", len(raw)) + raw + frame


FORGERIES = [
    {"dtype": "O"}, {"dtype": 7}, {"dtype": "x" * 100}, {"shape": [1 << 62]},
    {"shape": [-1, 0]}, {"shape": None}, {"pieces": []}, {"pieces": [["O", 2, 0]]},
    {"pieces": [["<f4", 4, 10**30]]}, {"form": "sparse", "pieces": [["<i8", 1, 0], ["<f4", 1, 8]],
     "shape": [1 << 60]}, {"header": {"bytes": 1 << 62}}, {"header": {"bytes": -1}},
    {"header": {"bytes": "x"}}, {"header": {"arrays": 5}}, {"header": {"arrays": [5]}},
    {"header": {"extra": [[]] * 3, "version": 2}},
]  # fmt: skip


@pytest.mark.parametrize("changes", FORGERIES, ids=str)
def test_a_forged_header_is_a_value_error(changes):
    assert decompress_features(_forged())[0]["a"].tolist() == [0, 0, 0, 0]
    with pytest.raises(ValueError, match="not packed features"):
        decompress_features(_forged(**changes))


def test_a_header_nested_too_deeply_is_a_value_error():
    raw = b"[" * 100_000
    with pytest.raises(ValueError, match="not packed features"):
        decompress_features(struct.pack("<I", len(raw)) + raw)
