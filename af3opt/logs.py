"""Logging for batch jobs: plain lines with a time stamp on stderr, one line an event.

The engine's libraries log through absl and Python warnings. Their routine noise
(implementations that do not apply to this device, deprecations) is kept out
unless `--debug` asks for it.
"""

import dataclasses
import logging
import sys
import warnings
from typing import Protocol

_FORMAT = "%(asctime)s %(levelname)s %(message)s"
_TIME_FORMAT = "%Y-%m-%d %H:%M:%S"


class HasVerbosity(Protocol):
    """What `configure_logging` reads of the settings."""

    @property
    def debug(self) -> bool: ...  # noqa: D102

    @property
    def quiet(self) -> bool: ...  # noqa: D102


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Verbosity:
    """Verbosity of a command that has no full settings."""

    debug: bool = False
    quiet: bool = False


def configure_logging(settings: HasVerbosity) -> None:
    """Sends log records of this process to stderr; safe to call again.

    Args:
        settings: `debug` shows everything, `quiet` warnings and errors only.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter(_FORMAT, _TIME_FORMAT))
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.DEBUG if settings.debug else logging.WARNING)
    own = logging.getLogger("af3opt")
    own.setLevel(
        logging.DEBUG if settings.debug else logging.WARNING if settings.quiet else logging.INFO
    )
    if not settings.debug:
        warnings.simplefilter("ignore")
