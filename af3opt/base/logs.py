"""Logging for batch jobs: plain lines with a time stamp on stderr, one line an event.

The engine's libraries log through absl and Python warnings. Their routine noise
(kernels that do not apply to this device, deprecations) is kept out unless
`--debug` asks for it.
"""

import dataclasses
import datetime
import json
import logging
import os
import sys
import traceback
import warnings
from typing import Protocol

from af3opt.base.plain_text import visible

DEBUG_VARIABLE = "AF3OPT_DEBUG"

_FORMAT = "%(asctime)s %(levelname)s %(message)s"
_TIME_FORMAT = "%Y-%m-%d %H:%M:%S"

# absl messages of tokamax that mean "the next implementation is tried" or "a default
# configuration is used", with a traceback for each operation of the model.
_ROUTINE_MESSAGES = ("Failed to run implementation", "Autotuning cache miss for ")

# The engine's message for every atom of a modified residue, each with kilobytes of layout. Such
# an atom is a token of its own, so there is no other that could stand for it.
_NO_PSEUDO_BETA = "%s token %i (%s), does not contain a pseudo-beta atom."


def debug_exported() -> bool:
    """Returns whether the environment asks for debug output."""
    return os.environ.get(DEBUG_VARIABLE, "").lower() in ("1", "t", "true")


class HasVerbosity(Protocol):
    """What `configure_logging` reads of the settings."""

    @property
    def debug(self) -> bool:
        """Whether everything is shown, tracebacks and library noise included."""

    @property
    def quiet(self) -> bool:
        """Whether only warnings and errors are shown."""

    @property
    def log_format(self) -> str:
        """Form of a line: "plain" or "json"."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Verbosity:
    """Verbosity of a command that has no full settings.

    Attributes:
        debug: By default what AF3OPT_DEBUG says; `af3opt --debug` exports it.
        quiet: Whether only warnings and errors are shown.
        log_format: "plain" or "json".
    """

    debug: bool = dataclasses.field(default_factory=debug_exported)
    quiet: bool = False
    log_format: str = "plain"


def configure_logging(settings: HasVerbosity) -> None:
    """Sends this process's log records to stderr; safe to call again.

    Args:
        settings: Says how much to show.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_formatter(settings))
    root = logging.getLogger()
    for previous in root.handlers[:]:
        if getattr(previous, "af3opt", False):
            root.removeHandler(previous)
    handler.af3opt = True  # type: ignore[attr-defined]
    root.addHandler(handler)
    root.setLevel(logging.INFO if settings.debug else logging.WARNING)
    logging.getLogger("af3opt").setLevel(_own_level(settings))
    # A filter on the logger, not the handler: upstream's script installs absl's own handler.
    absl_logger = logging.getLogger("absl")
    for previous_filter in absl_logger.filters[:]:
        if isinstance(previous_filter, _EngineMessages):
            absl_logger.removeFilter(previous_filter)
    if not settings.debug:
        absl_logger.addFilter(_EngineMessages())
        warnings.simplefilter("ignore")


def _own_level(settings: HasVerbosity) -> int:
    if settings.debug:
        return logging.DEBUG
    return logging.WARNING if settings.quiet else logging.INFO


def _formatter(settings: HasVerbosity) -> logging.Formatter:
    if settings.log_format == "json":
        return _JsonFormatter(_FORMAT)
    return (_WholeFormatter if settings.debug else _OneLineFormatter)(_FORMAT, _TIME_FORMAT)


class _EngineMessages(logging.Filter):
    """Keeps routine messages of the engine out, and makes one line a job of a long one."""

    def __init__(self) -> None:
        super().__init__()
        self._said: set[str] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        message = str(record.msg)
        if message.startswith(_NO_PSEUDO_BETA) and isinstance(record.args, tuple):
            return self._shorten(record, job=str(record.args[0]).partition(", random_seed=")[0])
        return not message.startswith(_ROUTINE_MESSAGES)

    def _shorten(self, record: logging.LogRecord, job: str) -> bool:
        """Puts a short text into the job's first such record; the others are not shown."""
        first = job not in self._said
        self._said.add(job)
        record.msg = "%s: tokens without a pseudo-beta atom (modified residues) use their first"
        record.args = (job,)
        return first


class _OneLineFormatter(logging.Formatter):
    """Keeps each record on one line: an exception as its type and text, no traceback."""

    def format(self, record: logging.LogRecord) -> str:
        line = f"{self._stamp(record)} {record.levelname} {record.getMessage()}"
        error = record.exc_info[1] if record.exc_info else None
        if error is not None:
            line = f"{line} ({type(error).__name__}: {error})"
        return visible(" ".join(line.splitlines()))

    def _stamp(self, record: logging.LogRecord) -> str:
        return self.formatTime(record, self.datefmt)


class _WholeFormatter(logging.Formatter):
    """Shows a record with its traceback, and nothing that a terminal would obey."""

    def format(self, record: logging.LogRecord) -> str:
        return visible(super().format(record), keep="\n\t")


class _JsonFormatter(logging.Formatter):
    """One JSON object a line: time (UTC), level, logger, message, and an event's fields.

    An event is a record with the attributes `event` and `fields`; see `af3opt.progress`.
    """

    def format(self, record: logging.LogRecord) -> str:
        time = datetime.datetime.fromtimestamp(record.created, datetime.UTC)
        line: dict[str, object] = {
            "time": time.isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if hasattr(record, "event"):
            line = {**getattr(record, "fields", {}), **line, "event": record.event}
        if record.exc_info and record.exc_info[1] is not None:
            line["exception"] = "".join(traceback.format_exception(record.exc_info[1]))
        return json.dumps(line, default=str)
