"""One worker of a pool: the same batch, on one device or on its own cores.

Workers know nothing of each other. They read the same inputs, take jobs by claims as
any processes with a common output directory do, and report to the pool by a file. Only
what a dead worker held is not for them to take before the pool has seen it.
"""

import dataclasses
import os
import signal
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from af3opt.base.errors import Af3optError, ExitCode
from af3opt.base.json_files import from_json, read_json, to_json, write_json
from af3opt.base.json_types import Json
from af3opt.execution.outcomes import Outcome

if TYPE_CHECKING:
    from af3opt.execution.job.session import RunnerFactory
    from af3opt.settings.settings import Settings

_PARENT_POLL_SECONDS = 1.0
# A few hundred bytes for each job and stage of a batch.
_MOST_BYTES = 1_000_000_000


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class WorkerOrder:
    """What the pool tells a worker.

    Attributes:
        flags: Flags of `af3opt run`.
        cores: Cores to stay on; empty for all.
        leases: Directory of the compile leases shared with workers on equal devices.
        report: File to write the report to.
    """

    flags: Sequence[str]
    cores: Sequence[int]
    leases: str
    report: str

    def to_json(self) -> str:
        """The order as text, for the worker's command line."""
        return to_json(self).decode()

    @classmethod
    def from_json(cls, text: str) -> "WorkerOrder":
        """Reads what `to_json` wrote."""
        order = from_json(text, cls)
        assert order is not None, "not an order of the pool"
        return order


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class WorkerReport:
    """What a worker that came to its end tells the pool.

    Attributes:
        outcomes: How jobs ended.
        events: Trace events.
        error: Why it could not go on, or "".
        code: Exit code that goes with the error.
        spilling_helps: A job failed that would fit with unified memory.
    """

    outcomes: Sequence[Outcome]
    events: Sequence[Mapping[str, Json]] = ()
    error: str = ""
    code: int = ExitCode.OK
    spilling_helps: bool = False


def read_report(path: Path) -> WorkerReport | None:
    """Reads a worker's report; None when it left none."""
    return read_json(path, WorkerReport, most_bytes=_MOST_BYTES)


def work(order: WorkerOrder, make_runner: "RunnerFactory | None" = None) -> int:
    """Does a worker's share of the batch and writes its report.

    Args:
        order: From the pool.
        make_runner: Makes the model; None for the real one.

    Returns:
        The process's exit code.
    """
    if order.cores:
        # Before numpy and JAX look at how many there are.
        os.sched_setaffinity(0, order.cores)
    pool = os.getppid()
    _end_with(pool)
    from af3opt.settings.settings import resolve_settings

    settings = resolve_settings(order.flags, os.environ)
    try:
        report = _run(settings, order, pool, make_runner)
    except Af3optError as error:
        text = " ".join(str(error).split())
        report = WorkerReport(outcomes=(), error=text, code=int(error.exit_code))
    write_json(Path(order.report), report)
    return report.code


def _run(
    settings: "Settings", order: WorkerOrder, pool: int, make_runner: "RunnerFactory | None"
) -> WorkerReport:
    from af3opt.environment.startup import prepare_process
    from af3opt.execution.claims.compile_leases import CompileLeases
    from af3opt.execution.interrupt import InterruptGuard

    guard = InterruptGuard(resumable=True, takes_stop_requests=True)
    with guard.active():
        # Starts numpy's and JAX's threads, which must inherit the guard's signal mask.
        from af3opt.execution.launch import prepare_batch

        startup = prepare_process(settings)
        leases = CompileLeases(Path(order.leases))
        batch = prepare_batch(
            settings, startup, guard, leases=leases, pool=pool, runner=make_runner
        )
        outcomes = batch.run.run(batch.plan, alone=False)
    return WorkerReport(
        outcomes=outcomes,
        events=batch.trace.events(),
        spilling_helps=batch.run.spilling_helps,
    )


def _end_with(pool: int) -> None:
    """A worker whose pool was killed ends as if it had been told to."""

    def watch() -> None:
        while os.getppid() == pool:
            time.sleep(_PARENT_POLL_SECONDS)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="parent-watch", daemon=True).start()


def main(argv: Sequence[str]) -> int:
    """Entry point: the only argument is the order."""
    return work(WorkerOrder.from_json(argv[0]))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
