"""Several workers on one node: one for each GPU, or on disjoint cores of the CPU.

The pool starts processes of the same command on the same output directory and waits.
There is no queue but the claims (see the room `claims`): a worker that is done early takes
what is left. A job whose worker dies is tried once more by another and then given up.
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
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from af3opt.base.child_process import module_command
from af3opt.base.errors import Af3optError, ExitCode, UsageError
from af3opt.execution.claims.claim import Claim, newest_holder, try_claim
from af3opt.execution.claims.holder import this_machine
from af3opt.execution.command_line import as_flags
from af3opt.execution.launch import finish, warn_of_duplicates
from af3opt.execution.outcomes import Outcome, Status, note_outcome, outcome_of
from af3opt.execution.planning.plan import PlannedJob, make_plan
from af3opt.execution.pool.worker import WorkerOrder, read_report
from af3opt.execution.state_directory import jobs_directory
from af3opt.execution.trace import write_trace
from af3opt.host.gpus import probe_gpus
from af3opt.settings.settings import Settings
from af3opt.settings.upstream import DEFAULT_BUCKETS

_log = logging.getLogger(__name__)

_WORKER_MODULE = "af3opt.execution.pool.worker"

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)
# Short: what a dead worker held is to be looked at before another worker asks for it.
_POLL_SECONDS = 0.05
_GRACE_SECONDS = 30.0
_LAST_WORDS_SECONDS = 5.0
# A job is tried this often when its worker dies; so is a worker that dies without a job.
_MOST_CRASHES = 2
_OWN_SETTINGS = frozenset({"gpus", "cpu_workers", "gpu_device", "trace"})


class WorkerError(Af3optError):
    """A worker met an error that ends the batch."""

    def __init__(self, text: str, code: int) -> None:
        super().__init__(text)
        self.exit_code = ExitCode(code)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """A place for a worker.

    Attributes:
        label: Short name, put before the worker's log lines.
        kind: Workers of one kind can use each other's compiled programs.
        cores: Cores of a CPU worker; empty for a GPU worker.
        gpu: UUID of the GPU, or None.
    """

    label: str
    kind: str
    cores: tuple[int, ...] = ()
    gpu: str | None = None


@dataclasses.dataclass(slots=True)
class _Worker:
    slot: Slot
    process: subprocess.Popen[str]
    report: Path
    pump: threading.Thread


def find_slots(settings: Settings) -> list[Slot]:
    """Lists the places for workers that `--gpus` or `--cpu_workers` ask for.

    Raises:
        UsageError: there is no such GPU, or there are fewer cores than workers.
    """
    if settings.cpu_workers is not None:
        return _core_slots(settings.cpu_workers)
    assert settings.gpus is not None
    probe = probe_gpus(os.environ)
    if not probe.gpus:
        raise UsageError(f"--gpus={settings.gpus}: no usable GPU: {probe.problem}")
    wanted = range(len(probe.gpus)) if settings.gpus == "all" else _indices(settings.gpus)
    if max(wanted) >= len(probe.gpus):
        raise UsageError(
            f"--gpus={settings.gpus}: only {len(probe.gpus)} GPU(s) visible, numbered from 0"
        )
    gpus = [(index, probe.gpus[index]) for index in wanted]
    return [Slot(label=f"gpu {index}", kind=gpu.name, gpu=gpu.uuid) for index, gpu in gpus]


def _indices(text: str) -> list[int]:
    parts = text.split(",")
    if not all(part.isdigit() for part in parts) or len(set(parts)) != len(parts):
        raise UsageError(f"--gpus={text}: give all, or different indices such as 0,2")
    return [int(part) for part in parts]


def _core_slots(number: int) -> list[Slot]:
    cores = sorted(os.sched_getaffinity(0))
    if number > len(cores):
        raise UsageError(f"--cpu_workers={number}: only {len(cores)} core(s) may be used")
    bounds = [len(cores) * index // number for index in range(number + 1)]
    return [
        Slot(
            label=f"cpu {index}", kind="cpu", cores=tuple(cores[bounds[index] : bounds[index + 1]])
        )
        for index in range(number)
    ]


def run_pool(
    settings: Settings, slots: Sequence[Slot], command: Sequence[str] | None = None
) -> ExitCode:
    """Folds every input of the settings in worker processes.

    Args:
        settings: Checked settings.
        slots: Places for workers, from `find_slots`.
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
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        # Not in the output directory: a worker must be able to say that its disk is full.
        with tempfile.TemporaryDirectory(prefix="af3opt-pool-") as scratch:
            worker = command or module_command(_WORKER_MODULE)
            pool = _Pool(settings, plan, worker, Path(scratch))
            return pool.run(slots[: len(plan)])
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)


class _Pool:
    def __init__(
        self,
        settings: Settings,
        plan: Sequence[PlannedJob],
        command: Sequence[str],
        scratch: Path,
    ) -> None:
        assert settings.output_dir is not None
        self._settings = settings
        self._plan = plan
        self._command = command
        self._output = settings.output_dir
        self._scratch = scratch
        self._workers: list[_Worker] = []
        self._outcomes: dict[tuple[Path, int], Outcome] = {}
        self._events: list[dict[str, object]] = []
        self._crashes: Counter[str] = Counter()
        self._given_up: dict[str, Claim] = {}
        self._ended_by: signal.Signals | None = None
        self._started = 0
        self._spilling_helps = False

    def run(self, slots: Sequence[Slot]) -> ExitCode:
        try:
            for slot in slots:
                self._start(slot)
            while self._workers:
                time.sleep(_POLL_SECONDS)
                # Not `sigtimedwait`: CPython 3.12 may hand back a number of no signal.
                for number in signal.sigpending() & set(_SIGNALS):
                    self._pass_on(signal.Signals(signal.sigwait({number})))
                self._collect()
        finally:
            self._kill_all()
            for claim in self._given_up.values():
                claim.release()
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
        process = subprocess.Popen(
            [*self._command, order.to_json()],
            env=environment,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            # Signals of the terminal come here only, and are passed on once.
            process_group=0,
        )
        prefix = "" if self._settings.log_format == "json" else f"[{slot.label}] "
        assert process.stderr is not None
        pump = threading.Thread(target=_copy_lines, args=(process.stderr, prefix), daemon=True)
        pump.start()
        self._workers.append(_Worker(slot, process, report, pump))

    def _pass_on(self, number: signal.Signals) -> None:
        if number is not signal.SIGUSR1:
            self._ended_by = number
        for worker in self._workers:
            worker.process.send_signal(number)
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
        for worker in [w for w in self._workers if w.process.poll() is not None]:
            self._workers.remove(worker)
            # Not for ever: what the worker started and left behind has its stderr, too.
            worker.pump.join(_LAST_WORDS_SECONDS)
            report = read_report(worker.report)
            worker.report.unlink(missing_ok=True)
            if report is not None:
                self._spilling_helps |= report.spilling_helps
                self._events += [dict(event) for event in report.events]
                for outcome in report.outcomes:
                    self._merge(outcome)
                if report.error:
                    self._ended_by = signal.SIGTERM
                    self._pass_on(signal.SIGTERM)
                    raise WorkerError(report.error, report.code)
            elif self._ended_by is None:
                self._crashed(worker)

    def _merge(self, outcome: Outcome) -> None:
        """Keeps what tells most: an end in one worker over "elsewhere" in another."""
        known = self._outcomes.get(outcome.job)
        if known is None or _WEIGHT[outcome.status] > _WEIGHT[known.status]:
            self._outcomes[outcome.job] = outcome

    def _crashed(self, worker: _Worker) -> None:
        """Counts the crash against the worker's jobs, and starts another in its place."""
        held = self._jobs_held_by(worker.process.pid)
        cause = _cause(worker.process.returncode)
        _log.error("Worker %s died (%s)", worker.slot.label, cause)
        # Jobs of one name have one claim, which does not tell which of them it was.
        for name in {planned.sanitised_name for planned in held}:
            self._crashes[name] += 1
            if self._crashes[name] >= _MOST_CRASHES and name not in self._given_up:
                # Held by the pool itself, so that no worker takes it again.
                claim = try_claim(jobs_directory(self._output) / name)
                if claim is None:
                    continue  # Somebody has taken it meanwhile, and says how it ends.
                self._given_up[name] = claim
                reason = f"its worker died {_MOST_CRASHES} times ({cause})"
                self._give_up([job for job in held if job.sanitised_name == name], reason)
        if not held:
            self._crashes[worker.slot.label] += 1
        if self._crashes[worker.slot.label] < _MOST_CRASHES:
            self._start(worker.slot)
        elif not self._workers and not self._outcomes:
            raise WorkerError(
                f"every worker died before it took a job ({cause}); "
                "run without --gpus and --cpu_workers to see why",
                ExitCode.FAILURE,
            )

    def _give_up(self, jobs: Sequence[PlannedJob], reason: str) -> None:
        for planned in jobs:
            outcome = outcome_of(planned, Status.FAILED, reason)
            with contextlib.suppress(OSError):
                note_outcome(self._output, outcome)
            self._merge(outcome)

    def _jobs_held_by(self, process_id: int) -> list[PlannedJob]:
        jobs, machine = jobs_directory(self._output), this_machine()
        held = []
        for planned in self._plan:
            holder = newest_holder(jobs / planned.sanitised_name)
            if (
                holder is not None
                and (holder.machine, holder.process_id) == (machine, process_id)
                and not holder.released
            ):
                held.append(planned)
        return held

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


def _cause(returncode: int) -> str:
    if returncode == -signal.SIGKILL:
        return "killed by signal 9, as happens when memory runs out"
    return f"signal {-returncode}" if returncode < 0 else f"exit code {returncode}"


def _copy_lines(source: IO[str], prefix: str) -> None:
    for line in source:
        sys.stderr.write(f"{prefix}{line}")
