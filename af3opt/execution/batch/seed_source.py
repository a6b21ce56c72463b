"""Where the seeds of a batch come from: jobs are opened in turn, and end with their last seed."""

import contextlib
import dataclasses
import functools
import itertools
import logging
import time
from collections.abc import Callable, Iterable, Iterator

from af3opt.execution.batch.search_ahead import SearchAhead
from af3opt.execution.batch.shared import Batch
from af3opt.execution.batch.units import RunningJob, SeedCount, SeedToDo
from af3opt.execution.job.claiming import JobHeldError, check_name, claim_job
from af3opt.execution.job.fate import JobLostError, Verdict
from af3opt.execution.job.loading import load_job
from af3opt.execution.job.resolving import ResolvedJob, resolve_job, search_job
from af3opt.execution.job.writing import JobWriter, end_job
from af3opt.execution.outcomes import Status
from af3opt.execution.planning.plan import PlannedJob
from af3opt.numerics import NonFiniteError
from af3opt.output.checked_files import UNCHECKED

_log = logging.getLogger(__name__)

# How long to wait before asking again whether somebody else has compiled or let go.
_POLL_SECONDS = 0.5
# The last jobs of processes that began together end within this time of each other, often.
_PATIENCE_SECONDS = 5.0

_STATUS = {
    Verdict.LOST: Status.ELSEWHERE,
    Verdict.FAILED: Status.FAILED,
    Verdict.LEFT: Status.LEFT,
    Verdict.DONE: Status.DONE,
}


@dataclasses.dataclass(frozen=True, slots=True)
class _Obstacle:
    """Why a job has to wait: who is in the way, and whether it is worth asking again."""

    text: str
    passes: bool


class _Patience:
    """How long waiting for others goes on while nothing changes."""

    def __init__(self) -> None:
        self._until: float | None = None

    def is_over(self, *, changes: bool) -> bool:
        """Whether to give up after a round; one that changes something starts it afresh."""
        now = time.monotonic()
        if changes:
            self._until = None
            return False
        self._until = self._until or now + _PATIENCE_SECONDS
        return now >= self._until


class SeedSource:
    """Opens the jobs of a plan and gives their seeds; one thread at a time pulls them."""

    def __init__(
        self,
        batch: Batch,
        unfinished: Callable[[Iterable[PlannedJob]], Iterator[PlannedJob]],
        searches: SearchAhead | None = None,
    ) -> None:
        """Connects what the source needs.

        Args:
            batch: What the parts of the batch share.
            unfinished: Leaves out, and notes, what nothing is left to do for.
            searches: Searches for all jobs; a job waits until its chains are there.
        """
        self._batch = batch
        self._tools = batch.tools
        self._unfinished = unfinished
        self._searches = searches
        self._open: dict[int, RunningJob] = {}

    def seeds(self, first: PlannedJob, others: Iterator[PlannedJob]) -> Iterator[SeedToDo]:
        """Opens jobs and searches, seed by seed.

        Jobs that others hold, or whose bucket another process compiles, are looked at
        again once all others have had their turn, as long as that changes something, and
        a little longer.
        """
        queue: Iterator[PlannedJob] = itertools.chain([first], others)
        patience = _Patience()
        while True:
            postponed: list[tuple[PlannedJob, _Obstacle]] = []
            begun = False
            for planned in queue:
                if self._batch.must_stop(planned):
                    self._leave([planned, *queue, *(job for job, _ in postponed)])
                    return
                opened = self._try_open(planned)
                if isinstance(opened, _Obstacle):
                    postponed.append((planned, opened))
                elif opened is not None:
                    begun = True
                    yield from self._seeds_of(opened)
            if not postponed:
                return
            passing = any(obstacle.passes for _, obstacle in postponed)
            if patience.is_over(changes=begun or passing):
                break
            if not begun:
                time.sleep(_POLL_SECONDS)
            queue = self._unfinished([job for job, _ in postponed])
        for planned, obstacle in postponed:
            _log.info("Fold job %s is being done by %s", planned.name, obstacle.text)
            self._batch.tally.add(planned, Status.ELSEWHERE)

    def close(self) -> None:
        """Lets go the jobs that an error kept from ending."""
        for running in list(self._open.values()):
            running.loaded.claimed.resources.close()

    def _leave(self, jobs: Iterable[PlannedJob]) -> None:
        for planned in jobs:
            self._batch.tally.add(planned, Status.LEFT)

    def _try_open(self, planned: PlannedJob) -> "RunningJob | _Obstacle | None":
        """Leases a job's bucket and opens it; None when that failed, which has been noted."""
        if self._searches is not None and not self._searches.is_ready(planned):
            return _Obstacle("the search of its chains", passes=True)
        leases = self._batch.leases
        if leases is None:
            return self._open_job(planned)
        bucket = self._batch.bucket(planned)
        if not leases.acquire(bucket):
            return _Obstacle(f"a process that compiles bucket {bucket}", passes=True)
        opened = self._open_job(planned)
        if not isinstance(opened, RunningJob):
            leases.release(bucket)
        return opened

    def _open_job(self, planned: PlannedJob) -> "RunningJob | _Obstacle | None":
        session, guard, started = self._batch.session, self._batch.guard, time.monotonic()
        files = UNCHECKED
        with contextlib.ExitStack() as held:
            try:
                check_name(planned, self._tools.settings)
                with self._batch.trace.span("open", planned.name):
                    claimed = claim_job(session, guard, planned)
                    held.enter_context(claimed.resources)
                    files = claimed.files
                    loaded = load_job(session, self._tools.pipeline, guard, claimed)
            except JobHeldError as holder:
                return _Obstacle(str(holder), passes=holder.by_this_process)
            except JobLostError:
                return _Obstacle("another process", passes=False)
            except Exception as error:
                self._batch.tally.raise_if_fatal(error)
                self._batch.tally.add_refused(planned, error, files)
                return None
            held.pop_all()
        report = session.reporter.job_started(loaded.name, self._batch.place(planned))
        running = RunningJob(loaded, report, started)
        self._open[id(running)] = running
        return running

    def _seeds_of(self, running: RunningJob) -> Iterator[SeedToDo]:
        """Yields a job's missing seeds; the last one to be over ends the job."""
        job = self._resolved(running)
        if job is None:
            self._end(running, None, None)
            return
        writer = JobWriter(self._tools, job)
        count = SeedCount(functools.partial(self._end, running, job, writer))
        try:
            yield from self._missing_seeds(running, job, writer, count)
        except Exception as error:
            self._fail(running, error)
        count.over()

    def _resolved(self, running: RunningJob) -> ResolvedJob | None:
        """Searches, and makes what the seeds share; None when there are no seeds to do."""
        try:
            with self._batch.trace.span("data pipeline", running.loaded.name):
                searched = search_job(self._tools, running.loaded, running.report)
            if not self._tools.settings.run_inference:
                _log.info("Skipping model inference...")
                return None
            return resolve_job(self._tools, searched)
        except Exception as error:
            self._fail(running, error)
            return None

    def _missing_seeds(
        self, running: RunningJob, job: ResolvedJob, writer: JobWriter, count: SeedCount
    ) -> Iterator[SeedToDo]:
        name, planned = running.loaded.name, running.loaded.claimed.planned
        missing = [seed for seed in job.seeds if seed not in job.finished]
        if job.finished:
            _log.info(
                "%s: %d seed(s) are done already, %d to do", name, len(job.finished), len(missing)
            )
        if missing:
            _log.info("Predicting 3D structure for %s with %d seed(s)...", name, len(missing))
        else:
            writer.write_ranking()
        bucket = self._batch.bucket(planned)
        for position, seed in enumerate(missing):
            if not running.fate.goes_on:
                return
            if self._batch.must_stop(planned):
                running.fate.leave()
                return
            # Conformers are begun early, but not where the model needs all cores.
            upcoming = missing[position + 1 : position + 2] if self._batch.overlapped else ()
            self._batch.ahead.append(bucket)
            count.add()
            yield SeedToDo(
                job=job,
                writer=writer,
                seed=seed,
                upcoming=tuple(upcoming),
                bucket=bucket,
                count=count,
            )

    def _fail(self, running: RunningJob, error: Exception) -> None:
        _log.debug("Fold job %s", running.loaded.name, exc_info=error)
        self._batch.tally.job_failed(running.fate, error)

    def _end(self, running: RunningJob, job: ResolvedJob | None, writer: JobWriter | None) -> None:
        loaded, tally = running.loaded, self._batch.tally
        verdict = end_job(self._tools, loaded, running.report, job, writer)
        failure = running.fate.failure
        tally.add(
            loaded.claimed.planned,
            _STATUS[verdict],
            failure if verdict is Verdict.FAILED else None,
            files=loaded.claimed.files,
            seeds=writer.seeds_run if writer else 0,
            seconds=time.monotonic() - running.started,
        )
        loaded.claimed.resources.close()
        self._open.pop(id(running), None)
        if self._batch.leases is not None:
            self._batch.leases.release(self._batch.bucket(loaded.claimed.planned))
        if verdict is Verdict.FAILED and failure and self._tools.settings.fail_fast:
            # Errors of single seeds have ended the batch by now.
            raise NonFiniteError(failure.reason)
