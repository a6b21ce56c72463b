"""What a person at a terminal sees while a batch runs."""

import contextlib
import logging
import threading
from collections.abc import Iterator
from typing import Protocol

from rich.console import Console
from rich.file_proxy import FileProxy
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

_SHOW_CURSOR = "\r\x1b[?25h"


class Display(Protocol):
    """Shows what is going on; every method may be called from any thread."""

    def begin_job(self, name: str) -> None:
        """A job begins."""

    def end_job(self) -> None:
        """A job has ended, one way or another."""

    def begin_stage(self, key: object, text: str, expected_seconds: float | None) -> None:
        """A stage begins; `key` identifies it until `end_stage`."""

    def end_stage(self, key: object) -> None:
        """The stage has ended."""

    def abandon(self) -> None:
        """The process ends at once: nothing is shown again."""


class NoDisplay:
    """For logs that go to a file: lines are all there is."""

    def begin_job(self, name: str) -> None:
        """Shows nothing."""

    def end_job(self) -> None:
        """Shows nothing."""

    def begin_stage(self, key: object, text: str, expected_seconds: float | None) -> None:
        """Shows nothing."""

    def end_stage(self, key: object) -> None:
        """Shows nothing."""

    def abandon(self) -> None:
        """Nothing was shown."""


class TerminalDisplay:
    """A bar for the batch and a line for each stage that is running."""

    def __init__(self, console: Console, total_jobs: int) -> None:
        """Prepares the display; `shown` shows it.

        Args:
            console: A console on a terminal.
            total_jobs: Jobs of the batch.
        """
        self._console = console
        self._batch = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=console,
            transient=True,
        )
        self._jobs = self._batch.add_task("jobs", total=total_jobs)
        self._stages: dict[object, TaskID] = {}
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def shown(self) -> Iterator["TerminalDisplay"]:
        """Shows the bars below the log lines while the block runs."""
        with self._log_lines_above(), self._batch:
            yield self

    def begin_job(self, name: str) -> None:
        """Names the job that is running."""
        self._batch.update(self._jobs, description=escape(name))

    def end_job(self) -> None:
        """Advances the batch."""
        self._batch.advance(self._jobs)

    def begin_stage(self, key: object, text: str, expected_seconds: float | None) -> None:
        """Adds a line for a stage, with a bar that fills in the expected time."""
        with self._lock:
            self._stages[key] = self._batch.add_task(escape(text), total=expected_seconds)
        if expected_seconds:
            threading.Thread(target=self._fill, args=(key,), daemon=True).start()

    def end_stage(self, key: object) -> None:
        """Removes the stage's line."""
        with self._lock:
            task = self._stages.pop(key, None)
        if task is not None:
            self._batch.remove_task(task)

    def abandon(self) -> None:
        """Gives the terminal its cursor back; takes no lock that another thread may hold."""
        self._console.file.write(_SHOW_CURSOR)
        self._console.file.flush()

    def _fill(self, key: object) -> None:
        """Advances a stage's bar by the clock; the device itself is not disturbed."""
        pause = threading.Event()
        while not pause.wait(1.0):
            with self._lock:
                task = self._stages.get(key)
                if task is None:
                    return
                self._batch.advance(task, 1.0)

    @contextlib.contextmanager
    def _log_lines_above(self) -> Iterator[None]:
        """Routes log handlers that write to this terminal through the console."""
        handlers = [
            handler
            for handler in logging.getLogger().handlers
            if isinstance(handler, logging.StreamHandler) and handler.stream is self._console.file
        ]
        for handler in handlers:
            handler.setStream(FileProxy(self._console, handler.stream))
        try:
            yield
        finally:
            for handler in handlers:
                handler.setStream(self._console.file)


@contextlib.contextmanager
def open_display(
    *, total_jobs: int, wanted: bool, console: Console | None = None
) -> Iterator[Display]:
    """Opens bars on a terminal, nothing elsewhere.

    Args:
        total_jobs: Jobs of the batch.
        wanted: False for `--quiet` and for JSON logs.
        console: Where to show it; None for standard error.

    Yields:
        The display.
    """
    console = console or Console(stderr=True)
    if not wanted or not console.is_terminal or console.is_dumb_terminal:
        yield NoDisplay()
        return
    with TerminalDisplay(console, total_jobs).shown() as display:
        yield display
