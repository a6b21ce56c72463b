"""Tells person, log and run record what a batch is doing; the one object to call."""

import contextlib
import dataclasses
import logging
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from af3opt.memory import MemoryManager
from af3opt.output.run_record import CacheRecord, StageRecord
from af3opt.progress.display import Display, NoDisplay
from af3opt.progress.learned import LearnedTimes, Workload
from af3opt.progress.stages import JOB_TOTALS, STAGES, Stage, StageClock, StageTime

_log = logging.getLogger(__name__)


class SpanKeeper(Protocol):
    """Keeps when stages ran, such as `execution.trace.Trace`."""

    def span(
        self, name: str, job: str, seed: int | None = None
    ) -> contextlib.AbstractContextManager[None]:
        """Times the block as a stage of a job."""


@dataclasses.dataclass(slots=True)
class _CacheUse:
    hits: int = 0
    misses: int = 0
    seconds_saved: float = 0.0


class JobReport:
    """The events of one job; made by `Reporter.job_started`.

    Stages may run in several threads at once.
    """

    def __init__(self, reporter: "Reporter", name: str) -> None:
        self._reporter = reporter
        self._caches: dict[str, _CacheUse] = {}
        self._peaks: dict[tuple[str, int | None], tuple[int, int | None]] = {}
        self._lock = threading.Lock()
        self.name = name
        self.clock = StageClock()
        self.workload: Workload | None = None

    @contextlib.contextmanager
    def stage(self, stage: Stage, seed: int | None = None) -> Iterator[dict[str, object]]:
        """Times a stage, logs its begin and end, watches its memory.

        Args:
            stage: One of `af3opt.progress.stages`.
            seed: Its seed, if it is run for one.

        Yields:
            Words for the line at the end: put `samples` there for `EXTRACT`. Under `once`
            goes what the stage took in seconds because it was the first of the process.
        """
        words: dict[str, object] = {"seed": seed}
        fields: dict[str, object] = {"job": self.name, "stage": stage.name, "seed": seed}
        if stage.begin:
            _event(stage.begin.format_map(words), "stage_started", fields)
        expected = self._expected(stage)
        started = time.monotonic()
        with (
            self._reporter.shown_stage(stage, words, expected),
            self._reporter.span(stage.name, self.name, seed),
            self._watched(stage, seed),
        ):
            yield words
        seconds = time.monotonic() - started
        self.clock.add(StageTime(stage.name, seed, seconds))
        if self.workload is not None:
            once = words.get("once", 0.0)
            assert isinstance(once, float)
            self._reporter.learned.learn(stage.name, self.workload, seconds - once, once)
        _event(
            stage.end.format_map({**words, "seconds": seconds}),
            "stage_ended",
            {**fields, "seconds": round(seconds, 3)},
        )

    def cache_used(self, name: str, *, hit: bool, seconds_saved: float = 0.0) -> None:
        """Notes an answer of a cache.

        Args:
            name: The cache, such as "features".
            hit: Whether it had the entry.
            seconds_saved: What making the entry once took.
        """
        with self._lock:
            use = self._caches.setdefault(name, _CacheUse())
            use.hits += hit
            use.misses += not hit
            use.seconds_saved += seconds_saved
        self._reporter.cache_used(name, hit=hit, seconds_saved=seconds_saved)

    def finished(self, output_dir: Path) -> None:
        """Logs upstream's totals and its last line of a job; saves what was learned."""
        for stages, line in JOB_TOTALS.items():
            seeds = self.clock.seeds(stages[-1])
            if seeds:
                _event(
                    line.format(seeds=seeds, seconds=self.clock.total(*stages)),
                    "job_stage_total",
                    {"job": self.name, "stages": list(stages)},
                )
        _event(
            f"Fold job {self.name} done, output written to {output_dir}",
            "job_done",
            {"job": self.name, "output_dir": str(output_dir)},
        )
        self._reporter.job_ended()

    def failed(self, reason: str) -> None:
        """Logs why the job failed."""
        _log.error(
            "Fold job %s failed: %s",
            self.name,
            reason,
            extra={"event": "job_failed", "fields": {"job": self.name, "reason": reason}},
        )
        self._reporter.job_ended()

    def stage_records(self) -> list[StageRecord]:
        """The stages for the run record."""
        records = []
        for run in self.clock.times:
            host, device = self._peaks.get((run.name, run.seed), (None, None))
            records.append(
                StageRecord(
                    name=run.name,
                    seed=run.seed,
                    seconds=round(run.seconds, 3),
                    host_peak_bytes=host,
                    device_peak_bytes=device,
                )
            )
        return records

    def cache_records(self) -> list[CacheRecord]:
        """The caches for the run record."""
        with self._lock:
            return [
                CacheRecord(name=name, **dataclasses.asdict(use))
                for name, use in sorted(self._caches.items())
            ]

    def _expected(self, stage: Stage) -> float | None:
        if self.workload is None:
            return None
        return self._reporter.learned.estimate(stage.name, self.workload)

    @contextlib.contextmanager
    def _watched(self, stage: Stage, seed: int | None) -> Iterator[None]:
        memory = self._reporter.memory
        if memory is None:
            yield
            return
        name = f"{self.name}/{stage.name}/{seed}"
        try:
            with memory.monitor(name):
                yield
        finally:
            peak = memory.take_peak(name)
            with self._lock:
                self._peaks[stage.name, seed] = (peak.host_bytes, peak.device_bytes)


class Reporter:
    """The events of a batch."""

    def __init__(
        self,
        *,
        display: Display | None = None,
        memory: MemoryManager | None = None,
        learned: LearnedTimes | None = None,
        trace: SpanKeeper | None = None,
    ) -> None:
        """Connects the outlets.

        Args:
            display: Where a person looks, see `open_display`; None for log lines only.
            memory: Watches the memory of stages; None not to.
            learned: Times of earlier runs; None for those of this machine's home.
            trace: Keeps when stages ran; None not to.
        """
        self._display = display or NoDisplay()
        self._jobs: list[JobReport] = []
        self._caches: dict[str, _CacheUse] = {}
        self._lock = threading.Lock()
        self._trace = trace
        self.memory = memory
        self.learned = learned or LearnedTimes()

    def show_on(self, display: Display) -> None:
        """Shows what happens from now on at this display."""
        self._display = display

    def job_started(self, name: str, place: tuple[int, int] | None = None) -> JobReport:
        """A job begins.

        Args:
            name: Its name as the user wrote it.
            place: Which job of how many it is; None to say nothing of it.

        Returns:
            The object for its events.
        """
        count = "" if place is None else f" ({place[0]}/{place[1]})"
        _event(f"Running fold job {name}...{count}", "job_started", {"job": name})
        self._display.begin_job(name)
        report = JobReport(self, name)
        with self._lock:
            self._jobs.append(report)
        return report

    def span(
        self, name: str, job: str, seed: int | None
    ) -> contextlib.AbstractContextManager[None]:
        """Lets the trace keep a stage."""
        if self._trace is None:
            return contextlib.nullcontext()
        return self._trace.span(name, job, seed)

    @contextlib.contextmanager
    def shown_stage(
        self, stage: Stage, words: dict[str, object], expected: float | None
    ) -> Iterator[None]:
        """Shows a running stage to the person at the terminal."""
        seed = words["seed"]
        key = object()
        text = stage.name if seed is None else f"{stage.name}, seed {seed}"
        self._display.begin_stage(key, text, expected)
        try:
            yield
        finally:
            self._display.end_stage(key)

    def cache_used(self, name: str, *, hit: bool, seconds_saved: float = 0.0) -> None:
        """Notes an answer of a cache that serves the whole batch; see `JobReport`."""
        with self._lock:
            use = self._caches.setdefault(name, _CacheUse())
            use.hits += hit
            use.misses += not hit
            use.seconds_saved += seconds_saved

    def job_ended(self) -> None:
        """Ends a job on the display and keeps its times for the next run."""
        self._display.end_job()
        self.learned.save()

    def summary(self) -> list[str]:
        """The closing table: a line for each stage and each cache, aligned."""
        with self._lock:
            times = [time for job in self._jobs for time in job.clock.times]
            caches = sorted(self._caches.items())
        lines = []
        for stage in STAGES:
            seconds = [time.seconds for time in times if time.name == stage.name]
            if seconds:
                lines.append(
                    f"{stage.name:<14} {len(seconds):>5} x {sum(seconds):>10.1f} s in all"
                    f" {max(seconds):>9.1f} s at most"
                )
        lines += [
            f"{name + ' cache':<14} {use.hits:>5} hit(s), {use.misses} miss(es)"
            + (f", {use.seconds_saved:.1f} s saved" if use.seconds_saved else "")
            for name, use in caches
        ]
        return lines


def _event(message: str, event: str, fields: dict[str, object]) -> None:
    """Logs a line; `--log_format=json` adds the event's name and fields."""
    _log.info("%s", message, extra={"event": event, "fields": fields})
