"""Blocks of rows: every row once, whatever their number."""

import dataclasses
import os

import numpy as np
import pytest

pytest.importorskip("jax")

import jax.numpy as jnp

from af3opt.host.host import probe_host
from af3opt.optimizations.arithmetic import (
    Whole,
    map_row_blocks,
    num_blocks,
    rows_per_block,
    standardise,
)
from af3opt.optimizations.base import SMALL_BLOCK
from af3opt.optimizations.choice import block_positions


@pytest.mark.parametrize("rows", [1, 3, 4, 5, 7, 12, 20])
@pytest.mark.parametrize("onto", [False, True])
def test_blocks_give_what_the_whole_gives(rows, onto):
    values = np.arange(12.0 * 5).reshape(12, 5).astype(np.float32)
    base = jnp.asarray(values[::-1]) if onto else None
    whole = Whole(values.shape, onto=base)
    result = map_row_blocks(jnp.square, (jnp.asarray(values),), rows, whole)
    np.testing.assert_array_equal(result, values**2 + (values[::-1] if onto else 0))


def test_a_row_computed_again_is_not_added_again_when_it_is_not_finite():
    values = jnp.asarray([1.0, jnp.nan, 2.0])[:, None]
    result = map_row_blocks(lambda row: row, (values,), 2, Whole((3, 1), onto=jnp.zeros((3, 1))))
    np.testing.assert_array_equal(result[:, 0], [1.0, np.nan, 2.0])


@pytest.mark.parametrize("tokens", [16, 53, 76, 80, 97, 200, 384, 1999])
@pytest.mark.parametrize("positions", [512, 4096, 8192])
def test_few_rows_are_computed_twice(tokens, positions):
    rows = rows_per_block(tokens, tokens, positions)
    fitting = positions // tokens
    assert max(1, min(fitting, tokens) // 2) <= rows <= max(1, fitting)
    assert num_blocks(tokens, rows) * rows <= 1.1 * tokens


def test_no_row_is_computed_twice_where_a_divisor_is_near():
    assert rows_per_block(80, 80, 1024) == 10
    assert rows_per_block(128, 128, 1024) == 8


def test_at_least_so_many_blocks():
    assert num_blocks(16, rows_per_block(16, 16, 32768, least_blocks=2)) >= 2


def test_blocks_are_large_where_the_third_level_cache_is_fast():
    cpu = probe_host(os.environ).cpu
    sizes = {
        vendor: block_positions(dataclasses.replace(cpu, vendor=vendor))
        for vendor in ("AuthenticAMD", "GenuineIntel")
    }
    assert sizes["AuthenticAMD"] > sizes["GenuineIntel"] == SMALL_BLOCK


@pytest.mark.parametrize("rows", [2, 3, 5])
def test_rows_may_lie_on_another_axis(rows):
    rng = np.random.default_rng(0)
    plain, channels_first = rng.random((5, 3, 2)), rng.random((2, 5, 3))

    def join(block, other):
        return block + jnp.transpose(other, (1, 2, 0))

    arrays = (jnp.asarray(plain), jnp.asarray(channels_first))
    result = map_row_blocks(join, arrays, rows, Whole(plain.shape), rows_axes=(0, 1))
    expected = plain + channels_first.transpose(1, 2, 0)
    np.testing.assert_allclose(result, expected, rtol=1e-6)


def test_standardises_any_axis():
    values = np.random.default_rng(0).random((3, 4, 5))
    first = standardise(jnp.asarray(values), axis=0)
    last = standardise(jnp.asarray(values.transpose(1, 2, 0)))
    np.testing.assert_allclose(first, last.transpose(2, 0, 1), rtol=1e-5)


# Of some of them the mean square less the squared mean is below zero by more than epsilon.
@pytest.mark.parametrize("level", [0.1, 33.3, 1e3 / 3, 5555.5, 1e8])
def test_a_constant_row_is_finite_whatever_rounding_leaves_of_its_variance(level):
    for length in (7, 128, 385, 768):
        result = standardise(jnp.full((2, length), level, jnp.float32))
        assert np.isfinite(result).all()


def test_standardised_values_have_no_mean_and_a_variance_of_one():
    values = np.random.default_rng(0).normal(3.0, 2.0, (50, 768))
    expected = (values - values.mean(-1, keepdims=True)) / np.sqrt(
        values.var(-1, keepdims=True) + 1e-5
    )
    np.testing.assert_allclose(standardise(jnp.asarray(values, jnp.float32)), expected, atol=5e-6)
