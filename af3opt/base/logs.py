"""Logging for batch jobs: plain lines with a time stamp on stderr, one line an event.

The engine's libraries log through absl and Python warnings. Their routine noise
(kernels that do not apply to this device, deprecations) is kept out unless
`--debug` asks for it.
"""

import contextlib
import contextvars
import dataclasses
import datetime
import json
import logging
import os
import re
import sys
import traceback
import warnings
from collections.abc import Iterator
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


# How the engine names a job that it featurises, after its name.
_SEED = re.compile(r", random_seed=\d+")
_MOST_REMEMBERED = 10_000

# The job that this thread is busy with.
_job: contextvars.ContextVar[str] = contextvars.ContextVar("job", default="")


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


@contextlib.contextmanager
def messages_of_job(name: str) -> Iterator[None]:
    """Lets what the engine says inside the block name the job, once for all its seeds.

    Args:
        name: The job's name.
    """
    token = _job.set(name)
    try:
        yield
    finally:
        _job.reset(token)


class _EngineMessages(logging.Filter):
    """Keeps routine messages of the engine out; the others are said once a job, with its name."""

    def __init__(self) -> None:
        super().__init__()
        self._said: set[tuple[str, str]] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        message, job = str(record.msg), _job.get()
        if message.startswith(_ROUTINE_MESSAGES):
            return False
        if record.levelno < logging.WARNING:
            return True
        if message.startswith(_NO_PSEUDO_BETA) and isinstance(record.args, tuple):
            job = job or str(record.args[0])
            text = "tokens without a pseudo-beta atom (modified residues) use their first"
        else:
            text = record.getMessage()
        text, job = _SEED.sub("", text), _SEED.sub("", job)
        if len(self._said) > _MOST_REMEMBERED:
            self._said.clear()
        first = not job or (job, text) not in self._said
        self._said.add((job, text))
        record.msg, record.args = "%s", (text if not job or job in text else f"{job}: {text}",)
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
