"""Building blocks of the CPU formulations: matrix products, norms, rows in blocks.

XLA:CPU runs elementwise work at the speed of memory unless its operands are still
in the processor's cache, so the formulations walk over a pair tensor in blocks of
rows small enough to stay there from one operation to the next.
"""

import functools
import math
from collections.abc import Sequence
from typing import NamedTuple

import jax.numpy as jnp
from jax import lax
from jax.typing import DTypeLike

from af3opt.engine.protocols import Array, EngineFunction
from af3opt.optimizations.base import BFLOAT16, FLOAT32, Context

# haiku's and the engine's default.
_NORM_EPSILON = 1e-5


def rows_per_block(
    num_rows: int, positions_per_row: int, positions: int, least_blocks: int = 1
) -> int:
    """Rows of a pair tensor to handle at a time.

    Args:
        num_rows: Rows in all.
        positions_per_row: Pair positions in a row.
        positions: Most pair positions in a block.
        least_blocks: Blocks to make even if all rows fit into fewer.

    Returns:
        The number, of those not much smaller than what fits, with which the last block
        computes fewest rows again; see `map_row_blocks`.
    """
    most = max(1, min(positions // positions_per_row, num_rows // least_blocks))
    candidates = range(most, max(1, most // 2) - 1, -1)
    return min(candidates, key=lambda rows: num_blocks(num_rows, rows) * rows)


def num_blocks(num_rows: int, rows: int) -> int:
    """Blocks of `rows` rows that cover all of them."""
    return -(-num_rows // rows)


def operand_type(operands: str) -> DTypeLike:
    """Type that the operands of a matrix product are rounded to."""
    return jnp.bfloat16 if operands == BFLOAT16 else jnp.float32


def product(left: Array, right: Array, operands: str) -> Array:
    """Matrix product with float32 sums and result.

    Args:
        left: (..., k), float32 or bfloat16.
        right: (k, n), the weights.
        operands: "bfloat16" rounds both operands first; processors with AMX or
            AVX512-BF16 multiply those several times faster. XLA:CPU takes that path
            for a two-dimensional product with a float32 result.

    Returns:
        (..., n), float32.
    """
    kind = operand_type(operands)
    flat = jnp.reshape(left, (-1, left.shape[-1])).astype(kind)
    result = jnp.dot(flat, right.astype(kind), preferred_element_type=jnp.float32)
    return jnp.reshape(result, (*left.shape[:-1], right.shape[-1]))


def bfloat16_terms(values: Array, count: int) -> tuple[Array, ...]:
    """Float32 values as a sum of bfloat16 values, 8 bits of precision each.

    Args:
        values: Array shape, float32.
        count: Number of terms.
    """
    terms = []
    rest = values.astype(jnp.float32)
    for _ in range(count):
        term = rest.astype(jnp.bfloat16)
        terms.append(term)
        rest = rest - term.astype(jnp.float32)
    return tuple(terms)


def operand_terms(operand: Array, precision: str) -> tuple[Array, ...]:
    """Weights, (..., inputs, outputs), as terms for `split_product`.

    Args:
        operand: The weights.
        precision: "float32", "split" (two bfloat16 terms) or "bfloat16".
    """
    if precision == FLOAT32:
        return (operand,)
    return bfloat16_terms(operand, 1 if precision == BFLOAT16 else 2)


def product_of_terms(left: tuple[Array, ...], right: tuple[Array, ...]) -> Array:
    """Matrix product of two operands that are sums of bfloat16 terms, added in float32.

    Args:
        left: Terms, (..., k) each, or one float32 operand.
        right: As many terms, (k, n) each, or one float32 operand.

    Returns:
        (..., n), float32.
    """
    pairs = [(i, j) for i in range(len(left)) for j in range(len(right) - i)]
    # The small ones first: they would be lost one by one against the large.
    products = [
        jnp.dot(left[i], right[j], preferred_element_type=jnp.float32)
        for i, j in sorted(pairs, key=sum, reverse=True)
    ]
    return functools.reduce(jnp.add, products)


def split_product(left: Array, right: tuple[Array, ...]) -> Array:
    """Matrix product with float32 rows that are split as the weights are.

    Args:
        left: (..., k), float32.
        right: Terms of the weights, (k, n) each; with two of them the relative error
            is about 5e-6 (the product of both second terms is left out), with one
            about 3e-3. Or the float32 weights alone, for a float32 product.

    Returns:
        (..., n), float32.
    """
    return product_of_terms(row_terms(left, right), right)


def row_terms(rows: Array, weights: tuple[Array, ...]) -> tuple[Array, ...]:
    """Rows, (..., k), float32, as terms to multiply terms of weights with."""
    return (rows,) if weights[0].dtype == jnp.float32 else bfloat16_terms(rows, len(weights))


def standardise(values: Array, axis: int = -1) -> Array:
    """Zero mean and unit variance over one axis in float32.

    The variance is the mean square less the squared mean, as in the engine's norms (haiku's
    `use_fast_variance`): both means come from one sweep, and nothing centred is written between.
    """
    values = values.astype(jnp.float32)
    mean = jnp.mean(values, axis=axis, keepdims=True)
    variance = jnp.mean(jnp.square(values), axis=axis, keepdims=True) - jnp.square(mean)
    # Rounding may leave less than nothing of a constant row.
    return (values - mean) * lax.rsqrt(jnp.maximum(variance, 0.0) + _NORM_EPSILON)


def normalise(values: Array, scale: Array, offset: Array) -> Array:
    """Layer norm over the last axis in float32."""
    return standardise(values) * scale + offset


def sigmoid(values: Array) -> Array:
    """Logistic function through tanh, which XLA:CPU evaluates without a division."""
    return 0.5 + 0.5 * jnp.tanh(0.5 * values)


class Whole(NamedTuple):
    """What blocks of rows are put together to.

    Attributes:
        shape: Shape of all rows.
        kind: Their type.
        onto: Array of that shape and type to add the blocks to; one that nothing
            else needs is overwritten, which saves two sweeps through memory.
    """

    shape: tuple[int, ...]
    kind: DTypeLike = jnp.float32
    onto: Array | None = None


def map_row_blocks(
    function: EngineFunction,
    arrays: tuple[Array, ...],
    rows: int,
    whole: Whole,
    *,
    rows_axes: Sequence[int] | None = None,
) -> Array:
    """Applies a function to blocks of rows and puts the results together.

    All blocks have one shape. Where that does not divide the rows, the last block starts
    early enough to end with them and computes some rows a second time: `lax` moves
    slices that reach past an end back inside.

    Args:
        function: Takes (rows, ...) blocks of `arrays`, returns a (rows, ...) block.
        arrays: Arrays with equally many rows.
        rows: Rows in a block.
        whole: What the results are put together to.
        rows_axes: Which axis of each array are its rows; by default the first.

    Returns:
        What `function` would return for the whole arrays, row for row, plus
        `whole.onto`.
    """
    shape, kind, onto = whole
    overlap = num_blocks(shape[0], rows) * rows - shape[0]
    axes = rows_axes or [0] * len(arrays)

    def step(index: Array, result: Array) -> Array:
        start = index * rows
        blocks = [
            lax.dynamic_slice_in_dim(array, start, rows, axis)
            for array, axis in zip(arrays, axes, strict=True)
        ]
        block = function(*blocks).astype(kind)
        if onto is not None:
            if overlap:
                # What a block before has added must not be added again.
                done = jnp.where(start > shape[0] - rows, overlap, 0)
                row = lax.broadcasted_iota(jnp.int32, block.shape, 0)
                block = jnp.where(row < done, 0, block)
            block = lax.dynamic_slice_in_dim(result, start, rows, 0) + block
        return lax.dynamic_update_slice_in_dim(result, block, start, 0)

    if rows >= shape[0]:
        result = function(*arrays).astype(kind)
        return result if onto is None else onto + result
    start = jnp.zeros(shape, kind) if onto is None else onto
    return lax.fori_loop(0, num_blocks(shape[0], rows), step, start)


def normalise_rows(values: Array, scale: Array, offset: Array, kind: DTypeLike, rows: int) -> Array:
    """`normalise` in blocks of rows, rounded to the type that products take.

    Args:
        values: (rows in all, ..., channels).
        scale: (channels,).
        offset: (channels,).
        kind: Type of the result.
        rows: Rows in a block.
    """
    return map_row_blocks(
        lambda block: normalise(block, scale, offset), (values,), rows, Whole(values.shape, kind)
    )


def block_rows(array: Array, context: Context, least_blocks: int = 1) -> int:
    """`rows_per_block` of a tensor (rows, ..., channels)."""
    positions_per_row = math.prod(array.shape[1:-1])
    positions = context.block_positions * max(context.threads, 1)
    return rows_per_block(array.shape[0], positions_per_row, positions, least_blocks)
