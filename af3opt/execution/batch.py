"""The jobs of one process: each once, stage by stage, whatever happens to single ones."""

import collections
import contextlib
import dataclasses
import logging
import time
from collections.abc import Iterable, Iterator, Sequence

from af3opt.engine.features import Batch
from af3opt.execution.compile_leases import CompileLeases
from af3opt.execution.deadline import Deadline
from af3opt.execution.fold_job import FoldJob, JobLostError
from af3opt.execution.interrupt import InterruptGuard
from af3opt.execution.memory_fit import MemoryFit
from af3opt.execution.opening import JobHeldError, JobOpener, OpenJob
from af3opt.execution.outcomes import Outcome, Status
from af3opt.execution.output_directory import (
    check_can_be_made,
    error_text,
    make_output_directory,
    raise_if_lost,
)
from af3opt.execution.planning import PlannedJob, padded_size
from af3opt.execution.plans import write_plan
from af3opt.execution.session import Session
from af3opt.execution.stream import Stages
from af3opt.execution.trace import Trace
from af3opt.numerics import NonFiniteError
from af3opt.numerics.checked import CheckedResult

_log = logging.getLogger(__name__)

_TERMS_NOTICE = (
    "Running AlphaFold 3. Please note that standard AlphaFold 3 model parameters are only "
    "available under terms of use provided at "
    "https://github.com/google-deepmind/alphafold3/blob/main/WEIGHTS_TERMS_OF_USE.md. If you do "
    "not agree to these terms and are using AlphaFold 3 derived model parameters, cancel "
    "execution with Ctrl-C, and do not use the model parameters."
)

# How long to wait before asking again whether somebody else has compiled or let go.
_POLL_SECONDS = 0.5


@dataclasses.dataclass(frozen=True, slots=True)
class _Featurised:
    """A seed that is ready for the device."""

    job: FoldJob
    seed: int
    batch: Batch
    bucket: int
    seconds: float


@dataclasses.dataclass(frozen=True, slots=True)
class _Ran:
    """A job's seed that has left the device."""

    unit: _Featurised
    checked: CheckedResult
    padded: int
    seconds: float


@dataclasses.dataclass(frozen=True, slots=True)
class _End:
    """Follows a job's last seed through the stages: nothing of the job comes after it."""

    job: FoldJob
    planned: PlannedJob
    started: float


class BatchRun:
    """The jobs of one process, from plan to outcomes."""

    def __init__(
        self,
        session: Session,
        guard: InterruptGuard,
        deadline: Deadline,
        *,
        leases: CompileLeases | None = None,
        trace: Trace | None = None,
    ) -> None:
        """Connects what the batch needs.

        Args:
            session: What all jobs share.
            guard: Cleans up at a signal; says when to stop.
            deadline: Says whether there is time for another seed.
            leases: Which process of the node compiles which bucket; None to compile
                whatever is needed.
            trace: Takes the times of the stages.
        """
        self._session = session
        self._settings = session.settings
        self._guard = guard
        self._deadline = deadline
        self._leases = leases
        self._trace = trace or Trace()
        self._opener = JobOpener(session, guard)
        # Overlapped, a seed is in each of the three stages.
        self._memory = MemoryFit(session, seeds_in_flight=3 if self._overlapped() else 1)
        self._outcomes: list[Outcome] = []
        self._open: dict[int, FoldJob] = {}
        self._raises = False
        self._wrote = False
        # Buckets of featurised seeds that have not left the device, first to go first.
        self._ahead: collections.deque[int] = collections.deque()

    def run(self, plan: Sequence[PlannedJob], *, alone: bool) -> list[Outcome]:
        """Does the jobs of a plan.

        Args:
            plan: The jobs, in the order they should run.
            alone: The plan is one job that the user asked for by itself: what is wrong
                with it is raised, and nothing is written if that is found in time.

        Returns:
            How each job ended.

        Raises:
            InputError: the only job, or with `--fail_fast` any, cannot be used.
            SetupError: engine, weights, tools or output directory are unusable.
            OutputLostError: nothing can be written any more.
        """
        self._raises = alone or self._settings.fail_fast
        waiting = self._unfinished(plan)
        first = next(waiting, None)
        if first is None:
            return self._outcomes
        self._start(first, alone=alone)
        write_plan(self._session.output_dir, plan)
        stages = Stages[_Featurised | _End, _Ran | _End](
            self._ready(first, waiting), self._infer, self._write
        )
        try:
            if self._overlapped():
                stages.run_overlapped()
            else:
                stages.run_in_turn()
        finally:
            for job in list(self._open.values()):
                job.resources.close()
        return self._outcomes

    def _unfinished(self, plan: Iterable[PlannedJob]) -> Iterator[PlannedJob]:
        for planned in plan:
            if self._opener.is_finished(planned):
                self._outcomes.append(_outcome(planned, Status.ALREADY_DONE))
            else:
                yield planned

    def _start(self, first: PlannedJob, *, alone: bool) -> None:
        """Does once what every job needs; fails here rather than in each of them."""
        _ = self._session.engine
        if alone:
            self._opener.load(first)
        check_can_be_made(self._session.output_dir)
        _log.info(_TERMS_NOTICE)
        if self._settings.run_inference:
            _ = self._session.runner  # Unusable weights end the run before it writes.
        make_output_directory(self._session.output_dir)
        self._wrote = True
        self._guard.watch(self._session.output_dir)

    def _overlapped(self) -> bool:
        choice = self._settings.overlap
        return choice == "on" or (choice == "auto" and self._session.backend.name != "cpu")

    def _must_stop(self, planned: PlannedJob) -> bool:
        bucket = padded_size(planned.tokens, self._session.buckets)
        in_time = self._deadline.allows(bucket, tuple(self._ahead))
        return self._guard.stop_requested.is_set() or not in_time

    def _ready(
        self, first: PlannedJob, others: Iterator[PlannedJob]
    ) -> Iterator[_Featurised | _End]:
        """Does all host-side work ahead of the device; ends each job it began with `_End`.

        Jobs that others hold, or whose bucket another process compiles, are looked at
        again once all others have had their turn, as long as that changes something.
        """
        queue: Iterator[PlannedJob] = _chain(first, others)
        while True:
            postponed: list[tuple[PlannedJob, _Obstacle]] = []
            begun = False
            for planned in queue:
                if self._must_stop(planned):
                    left = [planned, *queue, *(job for job, _ in postponed)]
                    self._outcomes += [_outcome(job, Status.LEFT) for job in left]
                    return
                started = time.monotonic()
                opened = self._try_open(planned)
                if isinstance(opened, _Obstacle):
                    postponed.append((planned, opened))
                elif opened is not None:
                    begun = True
                    yield from self._job_seeds(opened)
                    yield _End(opened.job, planned, started)
            passing = any(obstacle.passes for _, obstacle in postponed)
            if not postponed or not (begun or passing):
                break
            if not begun:
                time.sleep(_POLL_SECONDS)
            queue = self._unfinished([job for job, _ in postponed])
        for planned, obstacle in postponed:
            _log.info("Fold job %s is being done by %s", planned.name, obstacle.text)
            self._outcomes.append(_outcome(planned, Status.ELSEWHERE))

    def _try_open(self, planned: PlannedJob) -> "OpenJob | _Obstacle | None":
        """Leases a job's bucket and opens it; None when that failed, which has been noted."""
        if self._leases is None:
            return self._open_job(planned)
        bucket = padded_size(planned.tokens, self._session.buckets)
        if not self._leases.acquire(bucket):
            return _Obstacle(f"a process that compiles bucket {bucket}", passes=True)
        opened = self._open_job(planned)
        if not isinstance(opened, OpenJob):
            self._leases.release(bucket)
        return opened

    def _open_job(self, planned: PlannedJob) -> "OpenJob | _Obstacle | None":
        try:
            with self._trace.span("open", planned.name):
                opened = self._opener.open(planned)
        except JobHeldError as held:
            return _Obstacle(str(held), passes=held.by_this_process)
        except Exception as error:
            self._raise_if_fatal(error)
            reason = error_text(error)
            _log.error("Fold job %s failed: %s", planned.name, reason)
            self._outcomes.append(_outcome(planned, Status.FAILED, reason=reason))
            return None
        opened.job.announce()
        self._open[id(opened.job)] = opened.job
        return opened

    def _job_seeds(self, opened: OpenJob) -> Iterator[_Featurised]:
        """Yields a job's missing seeds; notes in the job why it stops early."""
        job, planned = opened.job, opened.planned
        try:
            with self._trace.span("data pipeline", job.name):
                self._opener.begin(opened)
            if not self._settings.run_inference:
                _log.info("Skipping model inference...")
                return
            seeds = job.missing_seeds()
            done = [seed for seed in job.fold_input.rng_seeds if seed not in seeds]
            if done:
                _log.info(
                    "%s: %d seed(s) are done already, %d to do", job.name, len(done), len(seeds)
                )
                job.recall_record(done)
            if seeds:
                _log.info("Predicting 3D structure for %s with %d seed(s)...", job.name, len(seeds))
            else:
                job.write_ranking()
            for position, seed in enumerate(seeds):
                if job.failure:
                    return
                if self._must_stop(planned):
                    job.left = True
                    return
                start = time.monotonic()
                batch = job.featurise(seed, seeds[position + 1 : position + 2])
                bucket = padded_size(planned.tokens, self._session.buckets)
                self._ahead.append(bucket)
                yield _Featurised(job, seed, batch, bucket, time.monotonic() - start)
        except Exception as error:
            self._job_failed(job, error)

    def _infer(self, unit: _Featurised | _End) -> _Ran | _End | None:
        if isinstance(unit, _End):
            return unit
        try:
            return self._infer_seed(unit)
        finally:
            self._ahead.popleft()

    def _infer_seed(self, unit: _Featurised) -> _Ran | None:
        job = unit.job
        if self._guard.stop_requested.is_set():
            job.left = True
        if job.failure or job.left:
            return None
        try:
            start = time.monotonic()
            padded = int(unit.batch["token_index"].shape[0])
            samples = self._memory.samples_at_once(padded)
            checked = job.infer(unit.batch, unit.seed, samples)
            seconds = unit.seconds + time.monotonic() - start
        except Exception as error:
            self._job_failed(job, error)
            return None
        if self._leases is not None:
            self._leases.compiled(unit.bucket)
        return _Ran(unit, checked, padded, seconds)

    def _write(self, unit: _Ran | _End) -> None:
        if isinstance(unit, _End):
            self._end_job(unit)
            return
        ready, start = unit.unit, time.monotonic()
        try:
            # Here and not in the thread of the device, which would wait for it.
            result = ready.job.extract(unit.checked, ready.batch, ready.seed, unit.seconds)
            ready.job.write_seed(result)
        except Exception as error:
            self._job_failed(ready.job, error)
            return
        self._deadline.learn(unit.padded, unit.seconds + time.monotonic() - start)

    def _end_job(self, end: _End) -> None:
        job = end.job
        if not (job.failure or job.left):
            try:
                job.check_ranking()
            except NonFiniteError as error:
                job.failure = error_text(error)
                if self._settings.fail_fast:
                    raise
        if job.lost:
            status, recorded = Status.ELSEWHERE, "incomplete"
        elif job.failure:
            status, recorded = Status.FAILED, "failed"
        elif job.left:
            status, recorded = Status.LEFT, "incomplete"
        else:
            status, recorded = Status.DONE, "done"
        if not job.lost:
            with contextlib.suppress(OSError):
                job.finish(recorded)
        self._close(end)
        self._outcomes.append(
            _outcome(
                end.planned,
                status,
                reason=job.failure,
                seeds=job.seeds_run,
                seconds=time.monotonic() - end.started,
            )
        )

    def _close(self, end: _End) -> None:
        end.job.resources.close()
        self._open.pop(id(end.job), None)
        if self._leases is not None:
            self._leases.release(padded_size(end.planned.tokens, self._session.buckets))

    def _job_failed(self, job: FoldJob, error: Exception) -> None:
        self._raise_if_fatal(error)
        _log.debug("Fold job %s", job.name, exc_info=error)
        job.lost = isinstance(error, JobLostError)
        job.failure = error_text(error)

    def _raise_if_fatal(self, error: Exception) -> None:
        if self._wrote:
            raise_if_lost(self._session.output_dir, error)
        if self._raises:
            raise error


@dataclasses.dataclass(frozen=True, slots=True)
class _Obstacle:
    """Why a job has to wait: who is in the way, and whether it is worth asking again."""

    text: str
    passes: bool


def _chain(first: PlannedJob, others: Iterator[PlannedJob]) -> Iterator[PlannedJob]:
    yield first
    yield from others


def _outcome(
    planned: PlannedJob, status: Status, *, reason: str = "", seeds: int = 0, seconds: float = 0.0
) -> Outcome:
    return Outcome(
        name=planned.name,
        path=planned.path,
        position=planned.position,
        status=status,
        reason=reason,
        seeds=seeds,
        seconds=round(seconds, 3),
    )
