"""The jobs of one process: each once, stage by stage, whatever happens to single ones."""

import collections
import contextlib
import dataclasses
import itertools
import logging
import time
from collections.abc import Iterable, Iterator, Sequence

from af3opt.execution.claims.compile_leases import CompileLeases
from af3opt.execution.interrupt import InterruptGuard
from af3opt.execution.job.fold_job import FoldJob, JobLostError
from af3opt.execution.job.memory_fit import MemoryFit, UnwrittenResults
from af3opt.execution.job.opening import JobHeldError, JobOpener, OpenJob
from af3opt.execution.job.session import Session
from af3opt.execution.outcomes import Outcome, Status
from af3opt.execution.output_directory import (
    check_can_be_made,
    error_text,
    make_output_directory,
    raise_if_lost,
)
from af3opt.execution.planning.deadline import Deadline
from af3opt.execution.planning.kept_plans import write_plan
from af3opt.execution.planning.plan import PlannedJob, padded_size
from af3opt.execution.second_start import spilling_helps
from af3opt.execution.stream import Stages
from af3opt.execution.trace import Trace
from af3opt.execution.units import Featurised, JobEnd, Ran, SeedToDo
from af3opt.features.featurise import usable_threads
from af3opt.numerics import NonFiniteError

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
# Threads beyond these would wait for each other: the engine's pipeline runs once at a time.
_MOST_THREADS_AHEAD = 3


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
        # Overlapped, a seed is in each of the three stages. Further ones may be featurised,
        # but their features are small beside a result, which only two of the three have.
        self._memory = MemoryFit(session, seeds_in_flight=3 if self._overlapped() else 1)
        self._outcomes: list[Outcome] = []
        self._open: dict[int, FoldJob] = {}
        self._raises = False
        self._wrote = False
        # Whether a job failed that would fit if the GPU might spill to host memory.
        self.spilling_helps = False
        # Buckets of the seeds begun that have not left the device, first to go first.
        self._ahead: collections.deque[int] = collections.deque()
        self._unwritten = UnwrittenResults()

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
        stages = Stages[SeedToDo | JobEnd, Featurised | JobEnd, Ran | JobEnd](
            self._units(first, waiting),
            self._featurise,
            self._infer,
            self._write,
            is_seed=lambda unit: not isinstance(unit, JobEnd),
        )
        try:
            if self._overlapped():
                stages.run_overlapped(self._threads_ahead())
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

    def _threads_ahead(self) -> int:
        """Threads that featurise ahead of the device, which must not wait for them."""
        if self._settings.featurise_workers is not None:
            return self._settings.featurise_workers
        if self._session.backend.name == "cpu":
            return 1
        # One core is left to the thread that feeds the device.
        return max(1, min(usable_threads() - 1, _MOST_THREADS_AHEAD))

    def _must_stop(self, planned: PlannedJob) -> bool:
        bucket = padded_size(planned.tokens, self._session.buckets)
        in_time = self._deadline.allows(bucket, tuple(self._ahead))
        return self._guard.stop_requested.is_set() or not in_time

    def _units(
        self, first: PlannedJob, others: Iterator[PlannedJob]
    ) -> Iterator[SeedToDo | JobEnd]:
        """Opens jobs and searches, seed by seed; ends each job it began with `JobEnd`.

        Jobs that others hold, or whose bucket another process compiles, are looked at
        again once all others have had their turn, as long as that changes something.
        """
        queue: Iterator[PlannedJob] = itertools.chain([first], others)
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
                    yield JobEnd(opened.job, planned, started)
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

    def _job_seeds(self, opened: OpenJob) -> Iterator[SeedToDo]:
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
                job.prepare()
            else:
                job.write_ranking()
            for position, seed in enumerate(seeds):
                if job.failure:
                    return
                if self._must_stop(planned):
                    job.left = True
                    return
                bucket = padded_size(planned.tokens, self._session.buckets)
                self._ahead.append(bucket)
                yield SeedToDo(job, seed, self._upcoming(seeds[position + 1 :]), bucket)
        except Exception as error:
            self._job_failed(job, error)

    def _upcoming(self, seeds: Sequence[int]) -> tuple[int, ...]:
        """The seeds whose conformers are begun early: not where the model needs all cores."""
        return tuple(seeds[:1]) if self._overlapped() else ()

    def _featurise(self, unit: SeedToDo | JobEnd) -> Featurised | JobEnd:
        if isinstance(unit, JobEnd):
            return unit
        start, batch = time.monotonic(), None
        try:
            if not unit.job.failure:
                batch = unit.job.featurise(unit.seed, unit.upcoming)
        except Exception as error:
            self._job_failed(unit.job, error)
        return Featurised(unit, batch, time.monotonic() - start)

    def _infer(self, ready: Featurised | JobEnd) -> Ran | JobEnd | None:
        if isinstance(ready, JobEnd):
            return ready
        try:
            return self._infer_seed(ready)
        finally:
            self._ahead.popleft()

    def _infer_seed(self, ready: Featurised) -> Ran | None:
        unit, job, batch = ready.unit, ready.unit.job, ready.batch
        if self._guard.stop_requested.is_set():
            job.left = True
        if batch is None or job.failure or job.left:
            return None
        try:
            start = time.monotonic()
            padded = int(batch["token_index"].shape[0])
            size = self._memory.size(batch)
            if size.seeds_in_flight == 1:
                self._unwritten.wait_for_none()
            once_before = self._session.runner.once_seconds
            checked = job.infer(batch, unit.seed, size.samples)
            self._memory.ran(batch)
            once = self._session.runner.once_seconds - once_before
            seconds = ready.seconds + time.monotonic() - start - once
        except Exception as error:
            self._job_failed(job, error)
            return None
        if self._leases is not None:
            self._leases.compiled(unit.bucket)
        self._unwritten.add()
        return Ran(unit, batch, checked, padded, seconds, once)

    def _write(self, ran: Ran | JobEnd) -> None:
        if isinstance(ran, JobEnd):
            self._end_job(ran)
            return
        unit, start = ran.unit, time.monotonic()
        try:
            # Here and not in the thread of the device, which would wait for it.
            result = unit.job.extract(ran.checked, ran.batch, unit.seed, ran.seconds)
            unit.job.write_seed(result)
        except Exception as error:
            self._job_failed(unit.job, error)
            return
        finally:
            self._unwritten.remove()
        # One that was computed twice says nothing of the others.
        if ran.checked.attempts == 1:
            self._deadline.learn(ran.padded, ran.seconds + time.monotonic() - start, ran.once)

    def _end_job(self, end: JobEnd) -> None:
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

    def _close(self, end: JobEnd) -> None:
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
        self.spilling_helps |= spilling_helps(self._settings, self._session.backend.name, error)
        if self._wrote:
            raise_if_lost(self._session.output_dir, error)
        if self._raises:
            raise error


@dataclasses.dataclass(frozen=True, slots=True)
class _Obstacle:
    """Why a job has to wait: who is in the way, and whether it is worth asking again."""

    text: str
    passes: bool


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
