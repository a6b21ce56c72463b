"""What the parts of a batch share: how its jobs ended, and whether it may go on."""

import collections
import contextlib
import dataclasses
import logging
from collections.abc import Mapping

from af3opt.base.padding import padded_size
from af3opt.execution.claims.compile_leases import CompileLeases
from af3opt.execution.failure import Failure, failure_of
from af3opt.execution.interrupt import InterruptGuard
from af3opt.execution.job.fate import JobFate, JobLostError, Verdict
from af3opt.execution.job.session import Session
from af3opt.execution.job.tools import Tools
from af3opt.execution.outcomes import Outcome, Status, note_outcome, outcome_of
from af3opt.execution.output_directory import raise_if_lost
from af3opt.execution.planning.deadline import Deadline
from af3opt.execution.planning.plan import PlannedJob
from af3opt.execution.second_start import spilling_helps
from af3opt.execution.trace import Trace
from af3opt.output.checked_files import UNCHECKED, CheckedFiles

_log = logging.getLogger(__name__)


class Tally:
    """How the jobs of this process ended, and which errors end the batch with them."""

    def __init__(self, session: Session) -> None:
        """Begins with none."""
        self._session = session
        self.outcomes: list[Outcome] = []
        # Whether the first error of any job ends the batch.
        self.raises = False
        # Whether the output directory was there once.
        self.wrote = False
        # Whether a job failed that would fit if the GPU might spill to host memory.
        self.spilling_helps = False

    def job_failed(self, fate: JobFate, error: Exception) -> None:
        """Notes an error of a job that is being done.

        Args:
            fate: How the job will end.
            error: What went wrong with it.

        Raises:
            Exception: it ends the batch; not where the job is another process's by now.
        """
        self._raise_if_output_is_lost(error)
        with contextlib.suppress(JobLostError):
            fate.check_ours()
        fate.fail(error)
        if fate.verdict is not Verdict.LOST:
            self.raise_if_fatal(error)

    def raise_if_fatal(self, error: Exception) -> None:
        """Raises what every further job would meet as well, or what is to end the batch."""
        settings, backend = self._session.settings, self._session.backend.name
        self.spilling_helps |= spilling_helps(settings, backend, error)
        self._raise_if_output_is_lost(error)
        if self.raises:
            raise error

    def _raise_if_output_is_lost(self, error: Exception) -> None:
        if self.wrote:
            raise_if_lost(self._session.output_dir, error)

    def add(
        self,
        planned: PlannedJob,
        status: Status,
        failure: Failure | None = None,
        *,
        files: CheckedFiles = UNCHECKED,
        seeds: int = 0,
        seconds: float = 0.0,
    ) -> None:
        """Notes how a job ended; if it is this process's, before its claim is let go.

        Args:
            planned: The job.
            status: How it ended.
            failure: Why, where it failed.
            files: Writes what is noted of it, as long as it is this process's.
            seeds: Seeds run now.
            seconds: Time spent on it.
        """
        reason = failure.reason if failure else ""
        outcome = outcome_of(planned, status, reason, seeds=seeds, seconds=seconds)
        if self.wrote and status in (Status.DONE, Status.FAILED):
            with contextlib.suppress(OSError, JobLostError):
                note_outcome(self._session.output_dir, outcome, failure, files)
        self.outcomes.append(outcome)

    def add_refused(self, planned: PlannedJob, error: Exception, files: CheckedFiles) -> None:
        """Notes a job that could not be begun; see `add`."""
        failure = failure_of(error)
        _log.error("Fold job %s failed: %s", planned.name, failure.reason)
        _log.debug("Fold job %s", planned.name, exc_info=error)
        self.add(planned, Status.FAILED, failure, files=files)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """What the parts of a batch share.

    Attributes:
        tools: What jobs are done with.
        places: Job -> its number in the plan.
        guard: Says when to stop; cleans up at a signal.
        deadline: Says whether there is time for another seed.
        leases: Which process of the node compiles which bucket, None for any.
        trace: Takes the times of the stages.
        tally: Takes how the jobs ended.
        overlapped: Whether neighbouring seeds are in different stages at once.
        ahead: Buckets of the seeds begun that have not left the device, first to go first.
    """

    tools: Tools
    places: Mapping[PlannedJob, int]
    guard: InterruptGuard
    deadline: Deadline
    leases: CompileLeases | None
    trace: Trace
    tally: Tally
    overlapped: bool
    ahead: collections.deque[int] = dataclasses.field(default_factory=collections.deque)

    def place(self, planned: PlannedJob) -> tuple[int, int] | None:
        """Which job of how many it is; None for a job alone."""
        return None if len(self.places) == 1 else (self.places[planned], len(self.places))

    @property
    def session(self) -> Session:
        """Settings and machine."""
        return self.tools.session

    def bucket(self, planned: PlannedJob) -> int:
        """Padded tokens of a job, as far as the plan tells."""
        return padded_size(planned.tokens, self.session.buckets)

    def must_stop(self, planned: PlannedJob) -> bool:
        """Tells whether there is no time for another seed of a job, or one was forbidden."""
        in_time = self.deadline.allows(self.bucket(planned), tuple(self.ahead))
        return self.guard.stop_requested.is_set() or not in_time
