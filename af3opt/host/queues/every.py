"""All schedulers together: which one runs this process, and which jobs of any are alive."""

import time
from collections.abc import Callable, Collection, Mapping

from af3opt.host.queues.core import ArrayPlace, BatchJob, Queue
from af3opt.host.queues.lsf import LsfQueue
from af3opt.host.queues.pbs import PbsQueue
from af3opt.host.queues.sge import SgeQueue
from af3opt.host.queues.slurm import SlurmQueue

QUEUES: Mapping[str, Queue] = {
    queue.name: queue for queue in (SlurmQueue(), PbsQueue(), LsfQueue(), SgeQueue())
}

# Scheduler and label: one job of one scheduler.
type JobName = tuple[str, str]


def find_own_job(environ: Mapping[str, str]) -> BatchJob | None:
    """Returns the job this process runs in; None outside one."""
    jobs = (queue.own_job(environ) for queue in QUEUES.values())
    return next((job for job in jobs if job is not None), None)


def find_own_place(environ: Mapping[str, str]) -> ArrayPlace | None:
    """Returns this process's place in an array; None outside one, or if it is not told."""
    job = find_own_job(environ)
    if job is None:
        # A single variable set by hand is enough for Slurm's.
        return QUEUES["slurm"].own_place(environ)
    return QUEUES[job.scheduler].own_place(environ)


class LiveJobs:
    """Which jobs are alive; each scheduler is asked once for many, and not again for a while.

    Only "alive" and "cannot tell" are remembered. That a job has ended lets others take over
    what it held, so it is asked anew: the job may have been put back into the queue meanwhile.
    """

    def __init__(self, seconds: float = 15.0, clock: Callable[[], float] = time.monotonic) -> None:
        """Begins with nothing known.

        Args:
            seconds: How long an answer is remembered.
            clock: Tells the seconds.
        """
        self._seconds = seconds
        self._clock = clock
        self._remembered: dict[JobName, tuple[float, bool | None]] = {}

    def ask(self, jobs: Collection[JobName]) -> dict[JobName, bool]:
        """Tells which jobs wait or run.

        Args:
            jobs: The jobs.

        Returns:
            Job -> whether it waits or runs; without those nobody can tell.
        """
        now = self._clock()
        known: dict[JobName, bool | None] = {}
        for job in jobs:
            asked, state = self._remembered.get(job, (now - 2 * self._seconds, None))
            if now - asked <= self._seconds:
                known[job] = state
        for name, queue in QUEUES.items():
            labels = {label for scheduler, label in set(jobs) - known.keys() if scheduler == name}
            answer = queue.states(labels) if labels else {}
            for label in labels:
                known[name, label] = answer.get(label)
            for label in labels | answer.keys():
                if answer.get(label) is not False:
                    self._remembered[name, label] = (now, answer.get(label))
        return {job: state for job, state in known.items() if state is not None}
