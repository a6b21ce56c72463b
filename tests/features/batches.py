"""Comparison of featurised batches, bit by bit and object by object."""

import dataclasses

import numpy as np

_TABLES = ("chains", "residues", "atoms", "bonds")
_GLOBALS = (
    "name",
    "release_date",
    "resolution",
    "structure_method",
    "bioassembly_data",
    "chemical_components_data",
)


def assert_same_batch(ours, theirs):
    """Fails unless both have the same features in the same order with the same bits."""
    assert list(ours) == list(theirs)
    for name, array in theirs.items():
        mine = ours[name]
        assert (mine.dtype, mine.shape) == (array.dtype, array.shape), name
        if array.dtype == object:
            assert_same_object(mine.item(), array.item(), name)
        else:
            assert mine.tobytes() == array.tobytes(), name


def assert_same_object(mine, theirs, name):
    """Compares atom layouts column by column, structures table by table and as mmCIF."""
    assert type(mine) is type(theirs), name
    if theirs is None:
        return
    if hasattr(theirs, "get_table"):
        for table in _TABLES:
            _assert_same_columns(mine.get_table(table), theirs.get_table(table), f"{name}.{table}")
        for field in _GLOBALS:
            assert getattr(mine, field) == getattr(theirs, field), f"{name}.{field}"
        assert mine.to_mmcif() == theirs.to_mmcif(), name
    else:
        _assert_same_columns(mine, theirs, name)


def _assert_same_columns(mine, theirs, name):
    for field in dataclasses.fields(theirs):
        place = f"{name}.{field.name}"
        one, other = getattr(mine, field.name), getattr(theirs, field.name)
        assert (one is None) == (other is None), place
        if other is not None:
            assert (one.dtype, one.shape) == (other.dtype, other.shape), place
            assert np.array_equal(one, other), place
