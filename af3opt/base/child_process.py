"""Starting modules of this package in processes of their own."""

import contextlib
import sys
from pathlib import Path

_ROOT = Path(__file__).parents[2]


def module_command(module: str) -> list[str]:
    """Command line that runs a module of this package with this interpreter.

    The interpreter would look for every module in the working directory first, where a
    user's `json.py` would take the place of Python's, or somebody else's. It is told not
    to, unless the package itself is found there, as in a checkout.

    Args:
        module: Its full name; arguments are to be appended.
    """
    in_checkout = False
    with contextlib.suppress(OSError):  # A working directory may be gone.
        in_checkout = Path.cwd() == _ROOT
    safe = [] if in_checkout else ["-P"]
    return [sys.executable, *safe, "-m", module]
