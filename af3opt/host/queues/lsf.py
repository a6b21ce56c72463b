"""LSF: its variables and `bjobs`."""

import time
from collections.abc import Collection, Mapping

from af3opt.host.queues.core import ArrayPlace, BatchJob, Queue, ask, integer, positive

_ALIVE_STATES = frozenset({"PEND", "PROV", "PSUSP", "RUN", "SSUSP", "USUSP", "WAIT"})
_ENDED_STATES = frozenset({"DONE", "EXIT"})


class LsfQueue(Queue):
    """IBM Spectrum LSF."""

    name = "lsf"
    title = "LSF"
    cores_variable = "LSB_DJOB_NUMPROC"

    def own_job(self, environ: Mapping[str, str]) -> BatchJob | None:
        """See `Queue.own_job`."""
        job_id = environ.get("LSB_JOBID")
        if not job_id:
            return None
        # 0 outside an array.
        task = positive(environ.get("LSB_JOBINDEX"))
        return BatchJob(
            scheduler=self.name,
            label=job_id if task is None else f"{job_id}[{task}]",
            job_id=job_id,
            array_job_id=None if task is None else job_id,
            array_task_id=task,
            nodelist=environ.get("LSB_HOSTS"),
            cpus_per_task=positive(environ.get(self.cores_variable)),
        )

    def own_place(self, environ: Mapping[str, str]) -> ArrayPlace | None:
        """See `Queue.own_place`; arrays are taken to begin with 1, which LSF does not export."""
        task, last = (positive(environ.get(f"LSB_JOBINDEX{end}")) for end in ("", "_END"))
        step = positive(environ.get("LSB_JOBINDEX_STEP", "1"))
        if task is None or last is None or step is None:
            return None
        return ArrayPlace(task=task, first=1, last=last, step=step, count=(last - 1) // step + 1)

    def states(self, labels: Collection[str]) -> dict[str, bool]:
        """See `Queue.states`."""
        jobs = sorted({label.partition("[")[0] for label in labels})
        if not jobs:
            return {}
        answer = ask(
            [
                *("bjobs", "-noheader", "-a", "-u", "all"),
                *("-o", "jobid jobindex stat delimiter='|'", *jobs),
            ]
        )
        if answer is None:
            return {}
        found: dict[str, set[str]] = {}
        for line in answer.stdout.splitlines():
            job, _, rest = line.strip().partition("|")
            index, _, state = rest.partition("|")
            for label in {job, f"{job}[{index}]"} if positive(index) else {job}:
                found.setdefault(label, set()).add(state)
        forgotten = {job for job in jobs if f"Job <{job}> is not found" in answer.stderr}
        known: dict[str, bool] = {}
        for label in {*labels, *found}:
            states = found.get(label, set())
            if states & _ALIVE_STATES:
                known[label] = True
            elif (states and states <= _ENDED_STATES) or label.partition("[")[0] in forgotten:
                known[label] = False
        return known

    def end_time(self, job: BatchJob) -> float | None:
        """See `Queue.end_time`; `bjobs` tells hours and minutes, such as "3:59 L"."""
        answer = ask(["bjobs", "-noheader", "-o", "time_left", job.label])
        words = answer.stdout.split() if answer is not None else []
        # "L" is the job's limit; "E" would be an estimate.
        if len(words) != 2 or words[1] != "L":
            return None
        hours, minutes = map(integer, (words[0].partition(":")[0], words[0].partition(":")[2]))
        if hours is None or minutes is None:
            return None
        return time.time() + 3600.0 * hours + 60.0 * minutes
