"""Counting operations: loops count as often as they run."""

import pytest

jax = pytest.importorskip("jax")
jnp = jax.numpy

from af3opt.inference.operations import count_operations  # noqa: E402

SQUARE = jax.ShapeDtypeStruct((8, 8), "float32")
ONE_PRODUCT = 2 * 8 * 8 * 8


def flops(function, *arguments):
    return count_operations(jax.jit(function).trace(*arguments).jaxpr).flops


def test_one_product():
    count = count_operations(jax.jit(jnp.matmul).trace(SQUARE, SQUARE).jaxpr)
    assert count.flops == ONE_PRODUCT
    assert count.bytes == 3 * 8 * 8 * 4


def test_batched_product_with_two_contracted_axes():
    left = jax.ShapeDtypeStruct((3, 4, 5, 6), "bfloat16")
    right = jax.ShapeDtypeStruct((3, 4, 5, 7), "bfloat16")
    assert flops(lambda a, b: jnp.einsum("nijk,nijl->nkl", a, b), left, right) == (
        2 * 3 * 6 * 7 * 20
    )


def test_loops_multiply():
    def layers(x):
        return jax.lax.scan(lambda c, _: (c @ c, None), x, None, length=5)[0]

    def recycles(x):
        return jax.lax.fori_loop(0, 3, lambda _, c: layers(c), x)

    assert flops(recycles, SQUARE) == 15 * ONE_PRODUCT


def test_inner_functions_and_branches_count():
    inner = jax.jit(lambda x: x @ x)

    @jax.custom_jvp
    def custom(x):
        return x @ x

    custom.defjvp(lambda primals, tangents: (primals[0], tangents[0]))

    def program(x):
        branch = jax.lax.cond(x[0, 0] > 0, lambda y: y @ y @ y, lambda y: y @ y, x)
        return custom(inner(x)) + jax.checkpoint(lambda y: y @ y)(x) + branch

    assert flops(program, SQUARE) == 5 * ONE_PRODUCT


def test_samples_that_are_mapped_count_each():
    batch = jax.ShapeDtypeStruct((4, 8, 8), "float32")
    assert flops(lambda x: jax.lax.map(lambda y: y @ y, x), batch) == 4 * ONE_PRODUCT
    assert flops(jax.vmap(lambda y: y @ y), batch) == 4 * ONE_PRODUCT


def test_callbacks_are_seen_inside_loops():
    def body(c, _):
        jax.debug.callback(lambda x: None, c)
        return c, None

    program = jax.jit(lambda x: jax.lax.scan(body, x, None, length=3)[0])
    assert count_operations(program.trace(SQUARE).jaxpr).callbacks == 3
