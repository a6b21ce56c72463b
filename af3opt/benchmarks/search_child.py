"""A process of its own for what is measured of searches, so that its memory can be, too.

    python -m af3opt.benchmarks.search_child

It imports what it needs, says `ready`, takes one request as JSON from standard input, and
answers with JSON. Nothing of what it took to start is in its times, and a
parent can limit how fast it reads from then on.
"""

import concurrent.futures
import dataclasses
import os
import resource
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from af3opt.base.errors import SetupError
from af3opt.base.json_files import from_json, to_json
from af3opt.search.aside import Aside
from af3opt.search.jackhmmer import (
    PreparedSearch,
    prepare_search,
    restrict_searches,
    run_jackhmmer,
)
from af3opt.search.profile import build_profile
from af3opt.search.scan import scan_file
from af3opt.search.targets import TargetFile

READY = b"ready\n"
# What one thread of the scan reads at a time.
_BUFFER_BYTES = 1 << 18


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What to do.

    Attributes:
        task: "search": scan, and jackhmmer on the survivors; "scan": the scan alone, which
            keeps nothing; "read": the file's bytes, as the scan reads them.
        commands: jackhmmer's commands over one database, one for each query.
        folder: Where survivors go.
        threads: Threads to use.
    """

    task: str
    commands: tuple[tuple[str, ...], ...]
    folder: Path
    threads: int


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What it took.

    Attributes:
        seconds: From the request to the last result.
        scan_seconds: Until the survivors were known, profiles included.
        program_seconds: Processor seconds of jackhmmer.
        survivors: Targets left over, of all queries.
        targets: Targets of the database.
        peak_bytes: Largest resident set of this process; jackhmmer's is not in it.
    """

    seconds: float
    scan_seconds: float = 0.0
    program_seconds: float = 0.0
    survivors: int = 0
    targets: int = 0
    peak_bytes: int = 0


class _Nowhere:
    """A sink that keeps nothing."""

    def write(self, records: bytes, /) -> None:
        """Takes the next records."""


def do(request: Request) -> Answer:
    """Does what is asked for.

    Raises:
        SetupError: the scan steps aside, or jackhmmer fails.
    """
    match request.task:
        case "search":
            return _search(request)
        case "scan":
            return _scan(request)
        case _:
            return _read(request)


def _search(request: Request) -> Answer:
    begun = time.perf_counter()
    searches = _prepared(request.commands)
    found = _understood(restrict_searches(searches, request.folder, request.threads))
    scanned = time.perf_counter()
    for one in found:
        run_jackhmmer(one.command)
    ended = time.perf_counter()
    programs = resource.getrusage(resource.RUSAGE_CHILDREN)
    return Answer(
        seconds=ended - begun,
        scan_seconds=scanned - begun,
        program_seconds=programs.ru_utime + programs.ru_stime,
        survivors=sum(one.survivors for one in found),
        targets=found[0].targets,
        peak_bytes=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    )


def _scan(request: Request) -> Answer:
    searches = _prepared(request.commands)
    queries = [search.query for search in searches]
    begun = time.perf_counter()
    with TargetFile(Path(searches[0].line.database)) as file:
        sinks = [_Nowhere() for _ in queries]
        scan = _understood(scan_file(file, queries, sinks, request.threads))
    took = time.perf_counter() - begun
    return Answer(
        seconds=took, scan_seconds=took, survivors=sum(scan.survivors), targets=scan.targets
    )


def _read(request: Request) -> Answer:
    path = request.commands[0][-1]
    size = Path(path).stat().st_size
    part = -(-size // request.threads)
    begun = time.perf_counter()
    with concurrent.futures.ThreadPoolExecutor(request.threads) as threads:
        starts = range(0, size, part)
        list(threads.map(lambda start: _read_part(path, start, min(size, start + part)), starts))
    return Answer(seconds=time.perf_counter() - begun)


def _read_part(path: str, start: int, end: int) -> None:
    buffer = bytearray(_BUFFER_BYTES)
    with Path(path).open("rb", buffering=0) as file:
        while start < end:
            got = os.preadv(file.fileno(), [buffer], start)
            if not got:
                return
            start += got


def _prepared(commands: Sequence[Sequence[str]]) -> list[PreparedSearch]:
    return [_understood(prepare_search(command, os.environ)) for command in commands]


def _understood[T](value: T | Aside) -> T:
    if isinstance(value, Aside):
        raise SetupError(f"the search steps aside: {value.reason}")
    return value


def main() -> int:
    """Takes one request; an error goes to stderr as one line."""
    build_profile("MKVLAAGIVG", 1e-3)  # Imports count for nobody.
    sys.stdout.buffer.write(READY)
    sys.stdout.buffer.flush()
    request = from_json(sys.stdin.buffer.read(), Request)
    if request is None:
        return 1
    try:
        answer = do(request)
    except SetupError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.buffer.write(to_json(answer))
    return 0


if __name__ == "__main__":
    sys.exit(main())
