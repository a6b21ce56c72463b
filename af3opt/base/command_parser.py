"""The argument parser of commands that have flags of their own."""

import argparse
from typing import Any, NoReturn

from af3opt.base.errors import UsageError


class CommandParser(argparse.ArgumentParser):
    """Reports errors as af3opt does: one line that says where help is, exit code 2."""

    def __init__(self, *, prog: str, **options: Any) -> None:  # argparse's own options
        """Makes a parser that takes flags by their whole names only.

        Args:
            prog: The command, such as "af3opt cache".
            options: See `argparse.ArgumentParser`.
        """
        super().__init__(prog=prog, allow_abbrev=False, **options)

    def error(self, message: str) -> NoReturn:
        """Raises the error instead of printing the usage.

        Raises:
            UsageError: always.
        """
        raise UsageError(f"{self.prog}: {message}; see `{self.prog} --help`")
