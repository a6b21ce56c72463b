"""Starting modules of this package in processes of their own."""

import contextlib
import sys
from pathlib import Path

_ROOT = Path(__file__).parents[2]


def module_command(module: str, python: str | None = None) -> list[str]:
    """Command line that runs a module of this package.

    Args:
        module: Its full name; arguments are to be appended.
        python: The interpreter; by default this one.
    """
    return [*interpreter_command(python), "-m", module]


def interpreter_command(python: str | None = None) -> list[str]:
    """Command line of an interpreter, to which `-m` or `-c` is to be appended.

    The interpreter would look for every module in the working directory first, where a
    user's `json.py` would take the place of Python's, or somebody else's. It is told not
    to, unless the package itself is found there, as in a checkout.

    Args:
        python: The interpreter; by default this one.
    """
    in_checkout = False
    with contextlib.suppress(OSError):  # A working directory may be gone.
        in_checkout = Path.cwd() == _ROOT
    return [python or sys.executable, *([] if in_checkout else ["-P"])]
