"""Blocks of rows: every row once, whatever their number."""

import numpy as np
import pytest

pytest.importorskip("jax")

import jax.numpy as jnp

from af3opt.optimizations.arithmetic import map_row_blocks, num_blocks, rows_per_block


@pytest.mark.parametrize("rows", [1, 3, 4, 5, 7, 12, 20])
@pytest.mark.parametrize("onto", [False, True])
def test_blocks_give_what_the_whole_gives(rows, onto):
    values = np.arange(12.0 * 5).reshape(12, 5).astype(np.float32)
    base = jnp.asarray(values[::-1]) if onto else None
    result = map_row_blocks(jnp.square, (jnp.asarray(values),), rows, values.shape, onto=base)
    np.testing.assert_array_equal(result, values**2 + (values[::-1] if onto else 0))


def test_a_row_computed_again_is_not_added_again_when_it_is_not_finite():
    values = jnp.asarray([1.0, jnp.nan, 2.0])[:, None]
    result = map_row_blocks(lambda row: row, (values,), 2, (3, 1), onto=jnp.zeros((3, 1)))
    np.testing.assert_array_equal(result[:, 0], [1.0, np.nan, 2.0])


@pytest.mark.parametrize("tokens", [16, 53, 76, 80, 97, 200, 384, 1999])
@pytest.mark.parametrize("threads", [1, 2, 16])
def test_few_rows_are_computed_twice(tokens, threads):
    rows = rows_per_block(tokens, tokens, threads)
    fitting = 512 * threads // tokens
    assert max(1, min(fitting, tokens) // 2) <= rows <= max(1, fitting)
    assert num_blocks(tokens, rows) * rows <= 1.1 * tokens


def test_no_row_is_computed_twice_where_a_divisor_is_near():
    assert rows_per_block(80, 80, 2) == 10
    assert rows_per_block(128, 128, 2) == 8


def test_at_least_so_many_blocks():
    assert num_blocks(16, rows_per_block(16, 16, 64, least_blocks=2)) >= 2
