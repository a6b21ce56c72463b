"""What commands that take the flags of `af3opt run` do with them first."""

import dataclasses
import logging
import os
from collections.abc import Collection, Sequence

from af3opt.base.logs import configure_logging
from af3opt.inputs.piped import is_pipe, read_pipe
from af3opt.settings.settings import Settings, resolve_settings

# run_alphafold.py has absl's --helpshort and --helpfull as well.
_HELP_FLAGS = frozenset({"h", "help", "helpshort", "helpfull"})

_log = logging.getLogger(__name__)


def asks_for_help(argv: Collection[str]) -> bool:
    """Tells whether a command line asks for the help of its command."""
    return any(word[:1] == "-" and word.lstrip("-") in _HELP_FLAGS for word in argv)


def read_settings(argv: Sequence[str]) -> Settings:
    """Resolves the flags, sets the log up and says there what is remarkable.

    Args:
        argv: Flags of `af3opt run`.

    Raises:
        UsageError: as for `resolve_settings`.
    """
    settings = resolve_settings(argv, os.environ)
    configure_logging(settings)
    for remark in settings.remarks:
        _log.warning("%s", remark)
    return settings


def with_input_to_read_again(settings: Settings) -> Settings:
    """Reads `--json_path` now if it is a pipe, and lets it name what was read.

    Raises:
        InputError: the pipe cannot be read.
    """
    path = settings.json_path
    if path is None or not is_pipe(path):
        return settings
    return dataclasses.replace(settings, json_path=read_pipe(path))
