"""Importing tokamax only when something of it is used.

The engine's model imports tokamax, which with all it needs takes more than half of the
engine's import time (1.2 of 2.2 s on a Zen 4 core) and 90 MB. On a CPU the optimised model
calls none of its kernels, and a model that was compiled before is not even traced. So a
stand-in takes its place, and the first attribute that is read of it imports the package as
always. What the engine names while it is imported itself is one type, in an annotation
that nothing evaluates.
"""

import importlib
import importlib.util
import sys
import threading
from types import ModuleType
from typing import Any

_PACKAGE = "tokamax"
_lock = threading.Lock()


class _StandIn(ModuleType):
    """Stands for tokamax until something of it is asked for."""

    # An alias that is looked up when its value is asked for, like the one of tokamax 0.0.17.
    type DotProductAttentionImplementation = _imported().DotProductAttentionImplementation  # type: ignore[valid-type]

    def __getattr__(self, name: str) -> Any:
        return getattr(_imported(), name)


def _imported() -> ModuleType:
    """The package itself."""
    with _lock:
        if isinstance(sys.modules.get(_PACKAGE), _StandIn):
            del sys.modules[_PACKAGE]
    return importlib.import_module(_PACKAGE)


def defer_import() -> None:
    """Puts a stand-in where tokamax is installed and not imported yet."""
    if _PACKAGE in sys.modules:
        return
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None:
        return
    stand_in = _StandIn(_PACKAGE)
    # What others read of any module without using it, such as the standard library's inspect.
    stand_in.__spec__, stand_in.__file__ = spec, spec.origin
    sys.modules[_PACKAGE] = stand_in
