"""Stops the diffusion sampler of older engines from taking the root of a negative number.

The noise added at a step has variance `t_hat**2 - noise_level_prev**2`. Where no
noise is added both are equal, and the difference should be 0. A CPU that computes
the product and the difference in one rounding (FMA) gets about -1e-8 times the
square for half of all values, whose root is NaN, and so is every coordinate from
there on. DeepMind v3.0.1 to v3.0.3 are affected; v3.0.4 clamps the difference at 0,
which is what is done to them here. Nothing else changes, and nothing at all where
the difference is not negative.
"""

import ast
import inspect
import textwrap

from af3opt.base.fidelity import EXACT
from af3opt.engine.known_functions import FORKS, V3_0_1, V3_0_2, V3_0_3, V3_0_4, known
from af3opt.engine.protocols import EngineFunction
from af3opt.optimizations.base import Context, Optimization

_SAMPLER = known("model.network.diffusion_head", "sample", V3_0_1, V3_0_2, V3_0_3)
_CLAMPING_SAMPLER = known("model.network.diffusion_head", "sample", V3_0_4, *FORKS)


def clamp_negative_roots(function: EngineFunction) -> EngineFunction:
    """Recompiles a function with every `jnp.sqrt(a - b)` as `jnp.sqrt(jnp.maximum(a - b, 0.0))`.

    Args:
        function: A plain function without free variables whose source is readable
            and whose module imports `jax.numpy` as `jnp`.

    Returns:
        The changed function, living in the same module namespace.

    Raises:
        ValueError: it takes no root of a difference, or has free variables.
        OSError: its source cannot be read.
    """
    if function.__code__.co_freevars:
        raise ValueError(f"{function.__qualname__} has free variables")
    source, first_line = inspect.getsourcelines(function)
    tree = ast.parse(textwrap.dedent("".join(source)))
    clamp = _ClampRoots()
    tree = ast.fix_missing_locations(clamp.visit(tree))
    if not clamp.changed:
        raise ValueError(f"{function.__qualname__} takes no root of a difference")
    ast.increment_lineno(tree, first_line - 1)
    namespace: dict[str, EngineFunction] = {}
    code = compile(tree, inspect.getfile(function), "exec", dont_inherit=True)
    # The function is defined in a scratch namespace but keeps its module's globals.
    exec(code, function.__globals__, namespace)  # noqa: S102
    clamped: EngineFunction = namespace[function.__name__]
    return clamped


class _ClampRoots(ast.NodeTransformer):
    """Rewrites the calls and counts them."""

    changed = 0

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        if ast.unparse(node.func) == "jnp.sqrt" and _is_difference(node.args):
            self.changed += 1
            node.args = [ast.parse(f"jnp.maximum({ast.unparse(node.args[0])}, 0.0)").body[0].value]  # type: ignore[attr-defined]
        return node


def _is_difference(arguments: list[ast.expr]) -> bool:
    return (
        len(arguments) == 1
        and isinstance(arguments[0], ast.BinOp)
        and isinstance(arguments[0].op, ast.Sub)
    )


def _clamped(original: EngineFunction, _context: Context) -> EngineFunction:
    return clamp_negative_roots(original)


SAMPLER_NAN: Optimization = Optimization(
    name="sampler_nan",
    fidelity=EXACT,
    summary="Clamp the sampler's noise variance at 0, where older engines give NaN on a CPU.",
    replacements=((_SAMPLER, _clamped),),
    backends=frozenset({"cpu", "gpu", "mps"}),
    built_in=_CLAMPING_SAMPLER,
    # Engines that are not known need no repair either, and it is nothing to tell the user about.
    wanted=lambda _context: SAMPLER_NAN.obstacle() is None,
)
