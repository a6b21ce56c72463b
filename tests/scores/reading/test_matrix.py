import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from af3opt.scores.reading.matrix import cut_matrices, parse_matrix


def read(text, **options):
    data = b'{"a": 1, "pae": %s, "z": [[2]]}' % text.encode()
    rest, spans = cut_matrices(data, ("pae",))
    assert json.loads(rest) == {"a": 1, "pae": None, "z": [[2]]}
    return parse_matrix(data, spans["pae"], **options)


def square(values):
    side = int(len(values) ** 0.5)
    return [values[side * k : side * (k + 1)] for k in range(side)]


NUMBERS = st.one_of(
    st.integers(0, 99999).map(lambda n: n / 10),
    st.floats(-1e6, 1e6, width=32),
    st.integers(-999, 9999),
    st.none(),
)


@given(values=st.lists(NUMBERS, min_size=1, max_size=36), indent=st.sampled_from((None, 1)))
@settings(deadline=None)
def test_any_matrix_is_read_as_the_json_parser_reads_it(values, indent):
    rows = square(values)
    found = read(json.dumps(rows, indent=indent))
    np.testing.assert_array_equal(found, np.array(rows, np.float32))


@given(st.lists(st.integers(0, 9999), min_size=1, max_size=64), st.integers(1, 40))
@settings(deadline=None)
def test_tenths_are_read_alike_in_pieces_of_any_size(tenths, size):
    rows = square([value / 10 for value in tenths])
    whole = np.array(rows, np.float32)
    found = read(json.dumps(rows), piece_bytes=size)
    np.testing.assert_array_equal(found, whole)


@pytest.mark.parametrize(
    "text",
    ["[[1.0, 2.0], [3.0]]", "[[1.0]   , [2.0]]", '[["a"]]', "[[true]]", "[[]]", "[[1.0, 2.0.3]]",
     "[[1.0, 2.0, 3.0]]", "[[1 2.0]]", "[[.5]]", "[[5.]]", "[[1.0, 2.0], [3.0, 4.0], [5.0]]"],
)  # fmt: skip
def test_anything_else_is_left_to_the_parser_or_read_right(text):
    data = b'{"pae": %s}' % text.encode()
    _, spans = cut_matrices(data, ("pae",))
    found = parse_matrix(data, spans["pae"])
    assert found is None or found.tolist() in ([[0.5]], [[5.0]])


def test_two_matrices_are_cut_in_any_order():
    data = b'{"b": [[1.5]], "x": "[[", "a": [[2.5]]}'
    rest, spans = cut_matrices(data, ("a", "b", "missing"))
    assert json.loads(rest) == {"b": None, "x": "[[", "a": None}
    assert {key: parse_matrix(data, span).tolist() for key, span in spans.items()} == {
        "a": [[2.5]],
        "b": [[1.5]],
    }


def test_text_without_an_end_is_left_alone():
    data = b'{"pae": [[1.0, 2.0'
    assert cut_matrices(data, ("pae",)) == (data, {})
