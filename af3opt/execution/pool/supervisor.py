"""Several workers on one node: one for each GPU, or on disjoint cores of the CPU.

The pool starts processes of the same command on the same output directory and waits.
There is no queue but the claims (see the room `claims`): a worker that is done early takes
what is left. A job whose worker dies is tried once more and then given up (`crashes`).
"""

import contextlib
import dataclasses
import logging
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO

from af3opt.base.child_process import module_command
from af3opt.base.errors import Af3optError, ExitCode, UsageError
from af3opt.execution.launch import finish
from af3opt.execution.outcomes import Outcome, Status, outcome_of
from af3opt.execution.planning.plan import PlannedJob, make_plan, warn_of_duplicates
from af3opt.execution.pool.crashes import MOST_CRASHES, Crashes
from af3opt.execution.pool.slots import Slot
from af3opt.execution.pool.worker import WorkerOrder, WorkerReport, read_report
from af3opt.execution.trace import write_trace
from af3opt.settings.command_line import as_flags
from af3opt.settings.settings import Settings
from af3opt.settings.upstream import DEFAULT_BUCKETS

_log = logging.getLogger(__name__)

_WORKER_MODULE = "af3opt.execution.pool.worker"

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)
_POLL_SECONDS = 0.2
_GRACE_SECONDS = 30.0
_LAST_WORDS_SECONDS = 5.0
_OWN_SETTINGS = frozenset({"gpus", "cpu_workers", "gpu_device", "trace"})


class WorkerError(Af3optError):
    """A worker met an error that ends the batch."""

    def __init__(self, text: str, code: int) -> None:
        super().__init__(text)
        self.exit_code = ExitCode(code)


@dataclasses.dataclass(slots=True)
class _Worker:
    slot: Slot
    process: subprocess.Popen[str]
    report: Path
    pump: threading.Thread


def run_pool(
    settings: Settings, slots: Sequence[Slot], command: Sequence[str] | None = None
) -> ExitCode:
    """Folds every input of the settings in worker processes.

    Args:
        settings: Checked settings.
        slots: Places for workers, at least one.
        command: Starts a worker, its order is appended; None for the real one.

    Returns:
        As `run_batch`; INTERRUPTED after SIGINT.

    Raises:
        InputError: the inputs cannot be listed.
        WorkerError: engine, weights, tools or output directory are unusable.
        UnifiedMemoryNeededError: jobs are left that a GPU can only do with it.
    """
    if not settings.resume:
        raise UsageError("--gpus and --cpu_workers need claims, which --noresume turns off")
    plan = make_plan(settings, settings.buckets or DEFAULT_BUCKETS, os.environ)
    warn_of_duplicates(settings, plan)
    with (
        _noted_signals() as signals,
        # Not in the output directory: a worker must be able to say that its disk is full.
        tempfile.TemporaryDirectory(prefix="af3opt-pool-") as scratch,
    ):
        worker = command or module_command(_WORKER_MODULE)
        pool = _Pool(settings, plan, worker, Path(scratch), signals)
        return pool.run(slots[: len(plan)])


@contextlib.contextmanager
def _noted_signals() -> Iterator[deque[signal.Signals]]:
    """Notes the signals of the pool inside the block.

    By handlers, since blocking them has no effect on threads that run already, such as
    those of NumPy; and one such thread is enough for the process to end by a signal.
    """
    received: deque[signal.Signals] = deque()

    def note(number: int, _frame: object) -> None:
        received.append(signal.Signals(number))

    handlers = {number: signal.signal(number, note) for number in _SIGNALS}
    # Where a parent has it ignored, nothing of a dead worker would stay to be looked at.
    handlers[signal.SIGCHLD] = signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    try:
        yield received
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


class _Pool:
    def __init__(
        self,
        settings: Settings,
        plan: Sequence[PlannedJob],
        command: Sequence[str],
        scratch: Path,
        signals: deque[signal.Signals],
    ) -> None:
        assert settings.output_dir is not None
        self._settings = settings
        self._plan = plan
        self._command = command
        self._output = settings.output_dir
        self._scratch = scratch
        self._signals = signals
        self._workers: list[_Worker] = []
        self._outcomes: dict[tuple[Path, int], Outcome] = {}
        self._events: list[dict[str, object]] = []
        self._crashes = Crashes(self._output, plan, self._merge)
        self._idle_crashes: Counter[str] = Counter()
        self._ended_by: signal.Signals | None = None
        self._started = 0
        self._spilling_helps = False

    def run(self, slots: Sequence[Slot]) -> ExitCode:
        try:
            for slot in slots:
                self._start(slot)
            while self._workers:
                time.sleep(_POLL_SECONDS)
                while self._signals:
                    self._pass_on(self._signals.popleft())
                self._collect()
        finally:
            self._kill_all()
            self._crashes.release()
        if self._settings.trace is not None:
            write_trace(self._settings.trace, self._events)
        code = finish(
            self._settings,
            self._merged(),
            spilling_helps=self._spilling_helps and self._ended_by is None,
        )
        return ExitCode.INTERRUPTED if self._ended_by is signal.SIGINT else code

    def _start(self, slot: Slot) -> None:
        report = self._scratch / f"report-{self._started}.json"
        self._started += 1
        flags = as_flags(self._settings, _OWN_SETTINGS)
        if slot.gpu is not None and self._settings.jax_backend is None:
            # GPUs were asked for: a worker that cannot use its own must not take the CPU.
            flags = [*flags, "--jax_backend=gpu"]
        order = WorkerOrder(
            flags=flags,
            cores=slot.cores,
            leases=str(self._scratch / f"leases {slot.kind}".replace("/", "_")),
            report=str(report),
        )
        environment = {**os.environ}
        if slot.gpu is not None:
            environment["CUDA_VISIBLE_DEVICES"] = slot.gpu
        process = _start_process([*self._command, order.to_json()], environment)
        prefix = "" if self._settings.log_format == "json" else f"[{slot.label}] "
        assert process.stderr is not None
        pump = threading.Thread(target=_copy_lines, args=(process.stderr, prefix), daemon=True)
        pump.start()
        self._workers.append(_Worker(slot, process, report, pump))

    def _pass_on(self, number: signal.Signals) -> None:
        if number is not signal.SIGUSR1:
            self._ended_by = number
        for worker in self._workers:
            # Not `send_signal`, which waits for a worker that has just died.
            os.kill(worker.process.pid, number)
        if self._ended_by is not None:
            self._wait(_GRACE_SECONDS)

    def _wait(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end and any(w.process.poll() is None for w in self._workers):
            time.sleep(_POLL_SECONDS)
        self._kill_all()

    def _kill_all(self) -> None:
        for worker in self._workers:
            if worker.process.poll() is None:
                worker.process.kill()
            worker.process.wait()

    def _collect(self) -> None:
        for worker in self._workers.copy():
            returncode = _returncode(worker.process)
            if returncode is None:
                continue
            self._workers.remove(worker)
            # Not for ever: what the worker started and left behind has its stderr, too.
            worker.pump.join(_LAST_WORDS_SECONDS)
            report = read_report(worker.report)
            worker.report.unlink(missing_ok=True)
            if report is not None:
                worker.process.wait()
                self._take_in(report)
            elif self._ended_by is None:
                self._crashed(worker, _cause(returncode))

    def _take_in(self, report: WorkerReport) -> None:
        self._spilling_helps |= report.spilling_helps
        self._events += [dict(event) for event in report.events]
        for outcome in report.outcomes:
            self._merge(outcome)
        if report.error:
            self._ended_by = signal.SIGTERM
            self._pass_on(signal.SIGTERM)
            raise WorkerError(report.error, report.code)

    def _merge(self, outcome: Outcome) -> None:
        """Keeps what tells most: an end in one worker over "elsewhere" in another."""
        known = self._outcomes.get(outcome.job)
        if known is None or _WEIGHT[outcome.status] > _WEIGHT[known.status]:
            self._outcomes[outcome.job] = outcome

    def _crashed(self, worker: _Worker, cause: str) -> None:
        """Counts the crash against the worker's jobs, and starts another in its place."""
        _log.error("Worker %s died (%s)", worker.slot.label, cause)
        if not self._crashes.add(worker.process.pid, cause):
            self._idle_crashes[worker.slot.label] += 1
        # Only now: from here on other workers may take what it held.
        worker.process.wait()
        if self._idle_crashes[worker.slot.label] < MOST_CRASHES:
            self._start(worker.slot)
        elif not self._workers and not self._outcomes:
            raise WorkerError(
                f"every worker died before it took a job ({cause}); "
                "run without --gpus and --cpu_workers to see why",
                ExitCode.FAILURE,
            )

    def _merged(self) -> list[Outcome]:
        unfinished = Status.ELSEWHERE if self._ended_by is None else Status.LEFT
        return [
            self._outcomes.get((planned.path, planned.position)) or outcome_of(planned, unfinished)
            for planned in self._plan
        ]


_WEIGHT = {
    status: weight
    for weight, status in enumerate(
        (Status.ELSEWHERE, Status.LEFT, Status.ALREADY_DONE, Status.FAILED, Status.DONE)
    )
}


def _start_process(command: Sequence[str], environment: Mapping[str, str]) -> subprocess.Popen[str]:
    """Starts a worker; what is passed on to it waits until it has its own guard."""
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        return subprocess.Popen(
            command,
            env=environment,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            # Signals of the terminal come to the pool only, and are passed on once.
            process_group=0,
        )
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)


def _returncode(process: subprocess.Popen[str]) -> int | None:
    """As `poll`, but a worker that ended stays a child that nobody has waited for."""
    if process.returncode is not None:
        return process.returncode
    ended = os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    if ended is None:
        return None
    return ended.si_status if ended.si_code == os.CLD_EXITED else -ended.si_status


def _cause(returncode: int) -> str:
    if returncode == -signal.SIGKILL:
        return "killed by signal 9, as happens when memory runs out"
    return f"signal {-returncode}" if returncode < 0 else f"exit code {returncode}"


def _copy_lines(source: IO[str], prefix: str) -> None:
    """Passes a worker's log on; reads it to its end, whoever has stopped reading ours.

    A worker whose log nobody reads would stand still with its next line.
    """
    is_read = True
    for line in source:
        if is_read:
            try:
                sys.stderr.write(f"{prefix}{line}")
            except (OSError, ValueError):
                is_read = False
