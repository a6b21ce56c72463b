"""One pass over a FASTA file for several queries, on all cores.

The file is cut into spans. Threads take one after the other; what they find is handed on
in the file's order, so that the result does not depend on their number or speed. Memory
is bounded: each thread reads into a small buffer, and a thread that is far ahead waits.
"""

import dataclasses
import os
import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from af3opt.search.aside import Aside
from af3opt.search.kernel import PreparedQuery, SpanScan, SpanState, scan_span
from af3opt.search.targets import DatabaseError, TargetFile, read_ahead

# Spans a thread: enough that all threads end at about the same time.
_SPANS_A_THREAD = 64
# Least and most bytes of a span; large ones keep Python's share of the work small.
SPAN_BYTES = (1 << 20, 1 << 24)
# Spans that may be done ahead of the one that is waited for, a thread.
_AHEAD = 2


class Sink(Protocol):
    """Where the records of a query's survivors go, in the file's order."""

    def write(self, records: bytes, /) -> object:
        """Takes the next records."""


@dataclasses.dataclass(frozen=True, slots=True)
class Progress:
    """How far a scan is.

    Attributes:
        bytes_done: Bytes of the file that are behind it.
        bytes_total: Bytes of the file.
        targets: Targets in what is behind it.
    """

    bytes_done: int
    bytes_total: int
    targets: int


@dataclasses.dataclass(frozen=True, slots=True)
class Scan:
    """What a pass found.

    Attributes:
        targets: Records of the file; HMMER's Z.
        residues: Their residues.
        survivors: Records kept, one number a query.
    """

    targets: int
    residues: int
    survivors: tuple[int, ...]


def scan_file(
    file: TargetFile,
    queries: Sequence[PreparedQuery],
    sinks: Sequence[Sink],
    threads: int,
    report: Callable[[Progress], None] = lambda _: None,
    span_bytes: tuple[int, int] = SPAN_BYTES,
) -> Scan | Aside:
    """Writes the targets that HMMER's first filter might keep.

    Args:
        file: The database, open.
        queries: At least one; each costs what it costs alone, but the file is read once.
        sinks: One for each query. After an `Aside` or an error they hold a part.
        threads: Threads to use, at least 1.
        report: Called in this thread after every span.
        span_bytes: Least and most bytes of a span.

    Raises:
        DatabaseError: the file cannot be read, is shorter than its size, or changed.
    """
    if file.size == 0:
        return Aside(f"{file.path} is empty")
    total = _Total(file, sinks, report)
    spans = _spans(file.size, threads, span_bytes)
    with _Workers(file, queries, threads, spans) as workers:
        for span, done in workers.results():
            aside = total.add(span, done)
            if aside is not None:
                file.check_unchanged()
                return aside
    file.check_unchanged()
    return Scan(total.targets, total.residues, tuple(total.survivors))


class _Total:
    """The sum of spans, added in the file's order."""

    def __init__(
        self, file: TargetFile, sinks: Sequence[Sink], report: Callable[[Progress], None]
    ) -> None:
        self._file = file
        self._sinks = sinks
        self._report = report
        self.targets = 0
        self.residues = 0
        self.survivors = [0] * len(sinks)

    def add(self, span: range, done: SpanScan) -> Aside | None:
        """Adds a span, or says why the file is left to the engine.

        Raises:
            DatabaseError: the span cannot be read.
        """
        path = self._file.path
        match done.state:
            case SpanState.UNREADABLE:
                raise DatabaseError(f"{path} cannot be read: {os.strerror(done.error)}")
            case SpanState.TRUNCATED:
                raise DatabaseError(
                    f"{path} ends at byte {done.offset} of {self._file.size}; it was cut while "
                    "it was searched"
                )
            case SpanState.NOT_FASTA:
                return Aside(f"{path} holds something unusual at byte {done.offset}")
            case SpanState.TOO_LONG:
                return Aside(f"{path} holds a very long record at byte {done.offset}")
        self.targets += done.targets
        self.residues += done.residues
        for index, survivors in enumerate(done.survivors):
            self.survivors[index] += survivors.targets
            if survivors.records:
                self._sinks[index].write(survivors.records)
        self._report(Progress(span.stop, self._file.size, self.targets))
        return None


class _Workers:
    """Threads that scan spans; ends with all of them, whatever happened."""

    def __init__(
        self,
        file: TargetFile,
        queries: Sequence[PreparedQuery],
        threads: int,
        spans: Sequence[range],
    ) -> None:
        self._file = file
        self._queries = queries
        self._spans = spans
        self._next = 0
        self._lock = threading.Lock()
        self._stopped = False
        # Permits to begin a span: given back when the span is handed on.
        self._permits = threading.Semaphore(threads * (1 + _AHEAD))
        self._done: queue.SimpleQueue[tuple[int, SpanScan | BaseException]] = queue.SimpleQueue()
        count = min(threads, len(self._spans))
        self._threads = [threading.Thread(target=self._work, daemon=True) for _ in range(count)]

    def __enter__(self) -> "_Workers":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped = True
        for _thread in self._threads:
            self._permits.release()
        for thread in self._threads:
            thread.join()

    def results(self) -> Iterator[tuple[range, SpanScan]]:
        """Yields every span with what it holds, in the file's order."""
        early: dict[int, SpanScan] = {}
        for index, span in enumerate(self._spans):
            while index not in early:
                number, done = self._done.get()
                if isinstance(done, BaseException):
                    raise done
                early[number] = done
            yield span, early.pop(index)
            self._permits.release()

    def _work(self) -> None:
        number = -1
        try:
            with self._file.reader() as descriptor:
                while (number := self._claim()) >= 0:
                    span = self._spans[number]
                    read_ahead(descriptor, span)
                    done = scan_span(descriptor, span, self._file.size, self._queries)
                    self._done.put((number, done))
        except BaseException as error:
            self._done.put((number, error))

    def _claim(self) -> int:
        """Waits for a permit and returns the number of the next span; -1 if there is none."""
        self._permits.acquire()
        with self._lock:
            if self._stopped or self._next == len(self._spans):
                return -1
            self._next += 1
            return self._next - 1


def _spans(size: int, threads: int, span_bytes: tuple[int, int]) -> list[range]:
    least, most = span_bytes
    span = min(max(size // (threads * _SPANS_A_THREAD), least), most)
    return [range(start, min(size, start + span)) for start in range(0, size, span)]
