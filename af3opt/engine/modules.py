"""Access to the engine's modules, and recognition of its functions by content.

Version strings cannot be trusted (forks keep them), so code that replaces or
relies on an engine function first compares the function's digest with the ones
it was written against.
"""

import ast
import functools
import hashlib
import importlib
import inspect
import textwrap
from types import ModuleType
from typing import Any

from af3opt.engine.discovery import ENGINE


def engine_module(name: str) -> ModuleType:
    """Imports `alphafold3.<name>`.

    Args:
        name: Dotted path below the package, such as "model.network.evoformer".

    Raises:
        ImportError: the engine has no such module.
    """
    return importlib.import_module(f"{ENGINE}.{name}")


class _StripText(ast.NodeTransformer):
    """Removes docstrings and annotations, which do not change what code does."""

    def _strip(self, node: Any) -> Any:
        self.generic_visit(node)
        body = node.body
        if body and isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant):
            node.body = body[1:] or [ast.Pass()]
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> Any:
        node.returns = None
        return self._strip(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> Any:
        return self._strip(node)

    def visit_arg(self, node: ast.arg) -> Any:
        node.annotation = None
        return node


@functools.cache
def source_digest(obj: Any) -> str:
    """Digest of what a function or class does, blind to comments, layout and types.

    Args:
        obj: A Python function, method or class whose source file is readable.

    Returns:
        16 hexadecimal digits of the SHA-256 of its normalised syntax tree.

    Raises:
        OSError: the source cannot be found (a compiled or generated function).
    """
    tree = ast.parse(textwrap.dedent(inspect.getsource(inspect.unwrap(obj))))
    return hashlib.sha256(_dump(_StripText().visit(tree)).encode()).hexdigest()[:16]


def _dump(node: Any) -> str:
    """Writes a syntax tree as `ast.dump` of Python 3.12 does; later ones leave things out."""
    if isinstance(node, list):
        return f"[{', '.join(map(_dump, node))}]"
    if not isinstance(node, ast.AST):
        return repr(node)
    parts = []
    named = False
    for field in node._fields:
        value = getattr(node, field, None)
        if value is None and getattr(type(node), field, ...) is None:
            named = True  # What follows an absent field is told by its name.
            continue
        parts.append(f"{field}={_dump(value)}" if named else _dump(value))
    return f"{type(node).__name__}({', '.join(parts)})"
