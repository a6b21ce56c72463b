import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from af3opt.numerics.arrays import (
    MODEL_RESULT,
    Masks,
    _device_counts,
    count_nonfinite,
    float_leaves,
)

jax = pytest.importorskip("jax")


def make_masks(tokens=4, real=3, slots=2):
    token = np.arange(tokens) < real
    atom = np.zeros((tokens, slots), bool)
    atom[:real] = True
    atom[0, 1] = False
    return Masks(token=token, atom=atom)


def make_result(samples=2, tokens=4, slots=2):
    return {
        "diffusion_samples": {"atom_positions": np.zeros((samples, tokens, slots, 3), np.float32)},
        "full_pae": np.zeros((samples, tokens, tokens), np.float32),
        "distogram": {"contact_probs": np.zeros((tokens, tokens), np.float32)},
    }


def test_finds_floats_in_any_nesting():
    @dataclasses.dataclass
    class Box:
        inner: object
        label: str = "text"

    tree = {"a": [1.0, 2, None, {"b": np.zeros(2)}], "c": Box(inner=(np.float32(1),)), "d": b"x"}
    assert [path for path, _ in float_leaves(tree)] == ["a.0", "a.3.b", "c.inner.0"]


def test_passes_over_integers_text_and_object_arrays():
    tree = {"i": np.arange(3), "s": np.array(["a"]), "o": np.array([None], dtype=object)}
    assert list(float_leaves(tree)) == []


def test_finite_result_has_no_findings():
    assert count_nonfinite(make_result(), masks=make_masks()) == ()


@pytest.mark.parametrize(
    ("path", "where"),
    [
        ("diffusion_samples.atom_positions", (1, 3, 0, 0)),
        ("diffusion_samples.atom_positions", (0, 0, 1, 2)),
        ("full_pae", (0, 3, 1)),
        ("full_pae", (0, 1, 3)),
        ("distogram.contact_probs", (3, 3)),
    ],
)
def test_padding_and_empty_slots_do_not_count(path, where):
    result = make_result()
    leaf = dict(float_leaves(result))[path]
    leaf[where] = np.nan
    assert count_nonfinite(result, masks=make_masks()) == ()


def test_counts_nan_and_infinity_by_sample():
    result = make_result()
    positions = result["diffusion_samples"]["atom_positions"]
    positions[1, 2] = np.nan
    positions[1, 0, 0, 0] = -np.inf
    (finding,) = count_nonfinite(result, masks=make_masks())
    assert finding.path == "diffusion_samples.atom_positions"
    assert (finding.nan, finding.infinite) == ((0, 6), (0, 1))
    assert finding.bad_samples(2) == {1}


def test_array_without_sample_axis_spoils_every_sample():
    result = make_result()
    result["distogram"]["contact_probs"][0, 0] = np.inf
    (finding,) = count_nonfinite(result, masks=make_masks())
    assert finding.bad_samples(2) == {0, 1}


@given(
    place=st.tuples(st.integers(0, 1), st.integers(0, 3), st.integers(0, 1), st.integers(0, 2)),
    value=st.sampled_from([np.nan, np.inf, -np.inf]),
)
def test_a_bad_coordinate_counts_exactly_where_there_is_an_atom(place, value):
    result, masks = make_result(), make_masks()
    result["diffusion_samples"]["atom_positions"][place] = value
    findings = count_nonfinite(result, masks=masks)
    assert bool(findings) == bool(masks.atom[place[1], place[2]])
    assert all(finding.bad_samples(2) == {place[0]} for finding in findings)


def test_bfloat16_is_a_float():
    array = jax.numpy.full((2,), jax.numpy.nan, jax.numpy.bfloat16)
    for leaf in (array, np.asarray(array)):
        (finding,) = count_nonfinite({"x": leaf})
        assert finding.nan == (2,)


def test_reduction_on_the_device_counts_the_same():
    result = make_result()
    result["diffusion_samples"]["atom_positions"][1, 2] = np.nan
    result["full_pae"][0, 3] = np.nan
    result["full_pae"][0, 0, 0] = np.inf
    masks = make_masks()
    layouts = MODEL_RESULT
    leaves = {path: jax.numpy.asarray(leaf) for path, leaf in float_leaves(result)}
    table = _device_counts(leaves, masks, layouts)
    assert table["diffusion_samples.atom_positions"].tolist() == [[0, 0], [6, 0]]
    assert table["full_pae"].tolist() == [[0, 1], [0, 0]]
    assert table["distogram.contact_probs"].tolist() == [[0, 0]]


def test_batch_of_another_size_is_refused():
    result = make_result(tokens=6)
    result["full_pae"][0, 0, 0] = np.nan
    with pytest.raises(ValueError, match="do not belong together"):
        count_nonfinite(result, masks=make_masks())
