"""Counting what a traced program computes.

XLA's own cost analysis counts the body of a loop once, and the model is mostly
loops (recycles, layers, diffusion steps, samples). A traced program still says how
often each loop runs, so its matrix products can be counted exactly.
"""

import dataclasses
import math
from collections.abc import Iterator, Mapping
from typing import Any

# A traced program of JAX or one of its operations, whose classes are private to it.
type Program = Any


@dataclasses.dataclass(frozen=True, slots=True)
class OperationCount:
    """Work of the matrix products of one forward pass.

    Attributes:
        flops: Floating-point operations, a multiplication and an addition each.
        bytes: Sizes of all their operands and results: what would be moved if
            nothing stayed in caches.
        opaque_kernels: Calls of custom kernels (Pallas, cuDNN), whose work is not
            visible and not counted.
        callbacks: Calls back into this Python process.
    """

    flops: int = 0
    bytes: int = 0
    opaque_kernels: int = 0
    callbacks: int = 0

    def __add__(self, other: "OperationCount") -> "OperationCount":
        """Sums both counts."""
        return OperationCount(
            self.flops + other.flops,
            self.bytes + other.bytes,
            self.opaque_kernels + other.opaque_kernels,
            self.callbacks + other.callbacks,
        )

    def __mul__(self, times: int) -> "OperationCount":
        """The count of something done several times."""
        return OperationCount(
            self.flops * times,
            self.bytes * times,
            self.opaque_kernels * times,
            self.callbacks * times,
        )


def count_operations(jaxpr: Program) -> OperationCount:
    """Counts the matrix products of a traced program.

    A `while` loop whose length depends on data counts as one pass, a conditional as
    its most expensive branch.

    Args:
        jaxpr: A `jax.core.Jaxpr` or `ClosedJaxpr`, such as `jit(f).trace(...).jaxpr`.

    Returns:
        The count.
    """
    total = OperationCount()
    program: Program = getattr(jaxpr, "jaxpr", jaxpr)
    for equation in program.eqns:
        name = equation.primitive.name
        if name == "dot_general":
            total += _dot(equation)
        elif name in ("pallas_call", "custom_call", "ffi_call"):
            total += OperationCount(opaque_kernels=1)
        elif name.endswith("callback"):
            total += OperationCount(callbacks=1)
        elif name == "cond":
            branches = [count_operations(branch) for branch in equation.params["branches"]]
            total += max(branches, key=lambda count: count.flops)
        else:
            times = equation.params["length"] if name == "scan" else 1
            for inner in _inner_programs(equation.params):
                total += count_operations(inner) * times
    return total


def _dot(equation: Program) -> OperationCount:
    (contracted, _), _ = equation.params["dimension_numbers"]
    left, right = (variable.aval for variable in equation.invars)
    (result,) = (variable.aval for variable in equation.outvars)
    depth = math.prod(left.shape[axis] for axis in contracted)
    size = sum(array.size * array.dtype.itemsize for array in (left, right, result))
    return OperationCount(flops=2 * result.size * depth, bytes=size)


def _inner_programs(parameters: Mapping[str, Program]) -> Iterator[Program]:
    """Programs among an operation's parameters: bodies of loops, of inner jits, of rules."""
    for name, value in parameters.items():
        if name in ("jvp_jaxpr_fun", "fwd_jaxpr_thunk", "bwd"):
            continue  # Derivative rules are not run.
        for item in value if isinstance(value, tuple | list) else (value,):
            if hasattr(item, "eqns") or hasattr(getattr(item, "jaxpr", None), "eqns"):
                yield item
