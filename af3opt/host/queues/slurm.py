"""Slurm: its variables, `squeue` and `scontrol`."""

from collections.abc import Collection, Mapping

from af3opt.host.queues.core import ArrayPlace, BatchJob, Queue, ask, integer, positive

_MIB = 1 << 20
_ENDED_STATES = frozenset(
    [
        *("BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED"),
        *("NODE_FAIL", "OUT_OF_MEMORY", "PREEMPTED", "TIMEOUT"),
    ]
)


class SlurmQueue(Queue):
    """Slurm."""

    name = "slurm"
    title = "Slurm"
    cores_variable = "SLURM_CPUS_PER_TASK"

    def own_job(self, environ: Mapping[str, str]) -> BatchJob | None:
        """See `Queue.own_job`; before 22.05 Slurm does not export the end."""
        job_id = environ.get("SLURM_JOB_ID")
        if not job_id:
            return None
        array, task = environ.get("SLURM_ARRAY_JOB_ID"), integer(environ.get("SLURM_ARRAY_TASK_ID"))
        return BatchJob(
            scheduler=self.name,
            # An array's last task has the array's own job id.
            label=job_id if array is None or task is None else f"{array}_{task}",
            job_id=job_id,
            array_job_id=array,
            array_task_id=task,
            nodelist=environ.get("SLURM_JOB_NODELIST"),
            cpus_per_task=positive(environ.get(self.cores_variable)),
            memory_bytes=_memory(environ),
            end_time=positive(environ.get("SLURM_JOB_END_TIME")),
            restarts=positive(environ.get("SLURM_RESTART_COUNT")) or 0,
        )

    def own_place(self, environ: Mapping[str, str]) -> ArrayPlace | None:
        """See `Queue.own_place`."""
        task = integer(environ.get("SLURM_ARRAY_TASK_ID"))
        first = integer(environ.get("SLURM_ARRAY_TASK_MIN"))
        count = positive(environ.get("SLURM_ARRAY_TASK_COUNT"))
        step = positive(environ.get("SLURM_ARRAY_TASK_STEP", "1"))
        if task is None or first is None or count is None or step is None:
            return None
        last = integer(environ.get("SLURM_ARRAY_TASK_MAX"))
        return ArrayPlace(
            task=task,
            first=first,
            last=first + (count - 1) * step if last is None else last,
            step=step,
            count=count,
        )

    def states(self, labels: Collection[str]) -> dict[str, bool]:
        """See `Queue.states`."""
        # All tasks of an array by its one id: a command line has an end.
        jobs = sorted({label.partition("_")[0] for label in labels})
        if not jobs:
            return {}
        answer = ask(
            [
                *("squeue", "--noheader", "--array", "--states=all", "--format=%i %T"),
                f"--jobs={','.join(jobs)}",
            ]
        )
        if answer is None:
            return {}
        if answer.returncode != 0:
            # Slurm forgets ended jobs after a while and then calls the id invalid.
            forgotten = len(jobs) == 1 and "Invalid job id" in answer.stderr
            return dict.fromkeys(labels, False) if forgotten else {}
        living = set()
        for line in answer.stdout.splitlines():
            label, _, state = line.strip().partition(" ")
            if state and state not in _ENDED_STATES:
                living |= {label, label.partition("_")[0]}
        return dict.fromkeys(living, True) | {label: label in living for label in labels}

    def end_time(self, job: BatchJob) -> float | None:
        """See `Queue.end_time`."""
        answer = ask(
            ["scontrol", "--oneliner", "show", "job", job.label], {"SLURM_TIME_FORMAT": "%s"}
        )
        for word in answer.stdout.split() if answer is not None else ():
            name, _, value = word.partition("=")
            if name == "EndTime" and value.isdigit():
                return float(value)
        return None


def _memory(environ: Mapping[str, str]) -> int | None:
    """Memory in bytes; Slurm counts in MiB and writes 0 for "the whole node"."""
    per_node = positive(environ.get("SLURM_MEM_PER_NODE"))
    if per_node is not None:
        return per_node * _MIB
    per_cpu = positive(environ.get("SLURM_MEM_PER_CPU"))
    cpus = positive(environ.get("SLURM_CPUS_ON_NODE"))
    return per_cpu * cpus * _MIB if per_cpu is not None and cpus is not None else None
