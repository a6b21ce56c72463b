"""Recognises a changed engine: a digest of the code that its modules hold right now.

The engine's files say what was installed; optimisations, probes and debugging tools
replace functions in memory. A program kept between runs must not be used when
different code would be traced, whoever changed it.
"""

import dataclasses
import functools
import hashlib
import inspect
import sys
import types
from collections.abc import Iterator, Mapping, Sequence

from af3opt.engine.discovery import ENGINE

# Below the engine's package: what a forward pass executes.
_PARTS = ("model.model", "model.network.", "model.components.", "model.feat_batch")

# Wrappers of wrappers to follow: decorators on top of a replacement of a decorated function.
_DEEPEST = 8


@functools.cache
def model_modules() -> tuple[str, ...]:
    """Names of the modules of the model that are loaded now, before anything is traced.

    Tracing loads more of them on demand, so the list is taken once in a process: a
    program must have the same key whether or not another one was traced before it.
    """
    prefixes = tuple(f"{ENGINE}.{part}" for part in _PARTS)
    return tuple(sorted(name for name in sys.modules if name.startswith(prefixes)))


def live_code_digest(modules: Sequence[str]) -> str:
    """Digest of every function that these modules hold right now.

    Functions count by their bytecode, constants and defaults, and by those of what
    they close over; replaced ones differ.

    Args:
        modules: What `model_modules` returned.

    Returns:
        16 hexadecimal digits.
    """
    digest = hashlib.sha256()
    for name in modules:
        for path, function in _functions(name, vars(sys.modules[name])):
            digest.update(path.encode())
            _add_function(digest, function, depth=0)
    return digest.hexdigest()[:16]


def _functions(
    path: str, namespace: Mapping[str, object]
) -> Iterator[tuple[str, types.FunctionType]]:
    """Functions of a module's or class's own namespace, methods of its classes included."""
    for name, value in sorted(namespace.items()):
        member = value.__func__ if isinstance(value, staticmethod | classmethod) else value
        member = member.fget if isinstance(member, property) else member
        if isinstance(member, types.FunctionType):
            yield f"{path}.{name}", member
        elif inspect.isclass(member) and member.__module__ == path.partition(":")[0]:
            yield from _functions(f"{path}:{name}", vars(member))


def _add_function(digest: "hashlib._Hash", function: types.FunctionType, depth: int) -> None:
    _add_code(digest, function.__code__)
    digest.update(_stable((function.__defaults__, function.__kwdefaults__)).encode())
    for cell in function.__closure__ or ():
        try:
            content = cell.cell_contents
        except ValueError:
            continue  # Not yet assigned.
        if isinstance(content, functools.partial):
            digest.update(_stable((content.args, content.keywords)).encode())
            content = content.func
        if isinstance(content, types.FunctionType) and depth < _DEEPEST:
            _add_function(digest, content, depth + 1)
        else:
            digest.update(_stable(content).encode())


def _add_code(digest: "hashlib._Hash", code: types.CodeType) -> None:
    digest.update(code.co_code)
    digest.update(repr(code.co_names).encode())
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            _add_code(digest, constant)
        else:
            digest.update(_stable(constant).encode())


def _stable(value: object) -> str:
    """Text of plain values; of anything else its type, since its repr may hold an address."""
    if value is None or isinstance(value, bool | int | float | complex | str | bytes):
        return repr(value)
    if isinstance(value, tuple | list):
        return f"({','.join(_stable(item) for item in value)})"
    if isinstance(value, frozenset | set):
        return f"{{{','.join(sorted(_stable(item) for item in value))}}}"
    if isinstance(value, dict):
        return f"{{{','.join(sorted(f'{_stable(k)}:{_stable(v)}' for k, v in value.items()))}}}"
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        # What a replacement was made for, such as a precision.
        fields = [(field.name, getattr(value, field.name)) for field in dataclasses.fields(value)]
        return f"{type(value).__qualname__}{_stable(fields)}"
    if isinstance(value, type | types.FunctionType):
        return f"{value.__module__}.{value.__qualname__}"
    return type(value).__qualname__
