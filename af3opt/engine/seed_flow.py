"""Decides from an engine function's source whether a seed reaches only the conformers.

The pipeline's main function is long and changes between engine versions in ways that
do not matter here, so its digest is no use. What matters is where its seed goes.
"""

import ast
import inspect
import textwrap
from collections.abc import Callable, Iterator
from typing import Any

_SEED_NAMES = frozenset({"random_state", "random_seed"})
# Calls that may be handed the seed: the random state itself, drawing a seed when none
# was given, the reference structure, and the function that is checked in its turn.
_RECEIVERS = frozenset(
    {
        "np.random.RandomState",
        "random_state.randint",
        "features.RefStructure.compute_features",
        "self.process_structure",
    }
)


def seed_reaches_only_conformers(function: Callable[..., Any]) -> bool:
    """Tells whether a function uses its seed for the reference structure and texts alone.

    Args:
        function: A method with parameters named `random_state` and `random_seed`.

    Returns:
        False also when that cannot be told.
    """
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    except (OSError, TypeError, SyntaxError):
        return False
    uses = list(_uses(tree, ()))
    return bool(uses) and all(map(_harmless, uses))


def _uses(node: ast.AST, ancestors: tuple[ast.AST, ...]) -> Iterator[tuple[ast.AST, ...]]:
    """Yields the ancestors, outermost first, of every place where a seed is read."""
    if isinstance(node, ast.Name) and node.id in _SEED_NAMES and isinstance(node.ctx, ast.Load):
        yield ancestors
    for child in ast.iter_child_nodes(node):
        yield from _uses(child, (*ancestors, node))


def _harmless(ancestors: tuple[ast.AST, ...]) -> bool:
    if any(isinstance(node, ast.JoinedStr) for node in ancestors):
        return True
    for node in reversed(ancestors):
        if isinstance(node, ast.Call):
            return ast.unparse(node.func) in _RECEIVERS
        if isinstance(node, ast.Compare):
            return isinstance(node.ops[0], ast.Is)
    return False
