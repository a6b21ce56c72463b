"""A record of which stage ran when, for `chrome://tracing` and ui.perfetto.dev.

The format is Chrome's Trace Event Format, complete events ("ph": "X") in
microseconds. Each thread of a process is a track, so that overlap can be seen.
"""

import contextlib
import dataclasses
import json
import logging
import os
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from af3opt.base.atomic import atomic_write_text
from af3opt.base.json_types import JsonObject

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, slots=True)
class Span:
    """One stage of one seed.

    Attributes:
        name: The stage.
        job: The job's name.
        seed: Its seed, None for the whole job.
        thread: Name of the thread it ran in.
        start: Seconds since the epoch.
        seconds: How long it took.
    """

    name: str
    job: str
    seed: int | None
    thread: str
    start: float
    seconds: float


class Trace:
    """Collects spans; safe to use from several threads."""

    def __init__(self) -> None:
        self._spans: list[Span] = []
        self._lock = threading.Lock()
        # The time of day is read once: it can be set while a batch runs.
        self._epoch = time.time() - time.monotonic()

    @contextlib.contextmanager
    def span(self, name: str, job: str, seed: int | None = None) -> Iterator[None]:
        """Times the block as a stage of a job."""
        start = time.monotonic()
        try:
            yield
        finally:
            seconds = time.monotonic() - start
            thread = threading.current_thread().name
            with self._lock:
                self._spans.append(Span(name, job, seed, thread, start + self._epoch, seconds))

    @property
    def spans(self) -> list[Span]:
        """All spans that have ended."""
        with self._lock:
            return list(self._spans)

    def events(self) -> list[JsonObject]:
        """The spans as trace events of this process."""
        process = os.getpid()
        threads: dict[str, int] = {}
        events = []
        for span in self.spans:
            track = threads.setdefault(span.thread, len(threads) + 1)
            title = span.name if span.seed is None else f"{span.name} {span.job} seed {span.seed}"
            events.append(
                {
                    "name": title,
                    "cat": span.name,
                    "ph": "X",
                    "ts": round(span.start * 1e6),
                    "dur": round(span.seconds * 1e6),
                    "pid": process,
                    "tid": track,
                    "args": {"job": span.job, "seed": span.seed},
                }
            )
        names = [
            {"name": "thread_name", "ph": "M", "pid": process, "tid": track, "args": {"name": name}}
            for name, track in threads.items()
        ]
        return names + events


def write_trace(path: Path, events: Iterable[JsonObject]) -> None:
    """Writes trace events as a file that Chrome and Perfetto open.

    The batch is over by then: a file that cannot be written is said and fails nothing.
    """
    text = json.dumps({"traceEvents": list(events), "displayTimeUnit": "ms"})
    try:
        atomic_write_text(path, text)
    except OSError as error:
        _log.error("--trace=%s: cannot be written: %s", path, error.strerror)
