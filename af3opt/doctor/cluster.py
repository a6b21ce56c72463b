"""The job of a scheduler that this process runs in, if any."""

import shutil
import time
from collections.abc import Iterator

from af3opt.doctor.check import Check, Subject, gigabytes, ok, skipped, warning
from af3opt.host.queues.core import BatchJob
from af3opt.host.queues.every import QUEUES

# What says on a machine without a job which scheduler it belongs to.
_SUBMITTERS = {"Slurm": "sbatch", "PBS or Grid Engine": "qsub", "LSF": "bsub"}
_ASK_FOR_CORES = {
    "slurm": "add #SBATCH --cpus-per-task=N",
    "pbs": "add #PBS -l select=1:ncpus=N",
    "lsf": "add #BSUB -n N",
    "sge": "add #$ -pe NAME N",
}


def check_batch_job(subject: Subject) -> Iterator[Check]:
    """What the job was granted, and what it forgot to ask for."""
    job = subject.host.job
    if job is None:
        path = subject.environ.get("PATH")
        present = [
            name for name, program in _SUBMITTERS.items() if shutil.which(program, path=path)
        ]
        yield skipped(
            "scheduler",
            f"{present[0]}, outside a job; inside one this shows what it was granted"
            if present
            else "none on this machine",
        )
        return
    title = QUEUES[job.scheduler].title
    facts = [f"job {job.label} on {job.nodelist or 'an unknown node'}"]
    if job.memory_bytes:
        facts.append(f"{gigabytes(job.memory_bytes)} of memory")
    end = job.end_time if job.end_time is not None else QUEUES[job.scheduler].end_time(job)
    if end is not None:
        facts.append(f"{max(0.0, end - time.time()) / 60:.0f} min left")
    yield ok(title, ", ".join(facts))
    yield from _check_cores(subject, job, title)
    if end is None:
        yield warning(
            f"{title} time limit",
            f"{title} does not say when this job ends",
            "give --max_runtime=SECONDS, so that no seed is started that cannot finish",
        )


def _check_cores(subject: Subject, job: BatchJob, title: str) -> Iterator[Check]:
    if job.cpus_per_task is None:
        yield warning(
            f"{title} cores",
            "the job did not ask for cores, so threads follow the affinity alone",
            _ASK_FOR_CORES[job.scheduler],
        )
    elif job.cpus_per_task > (usable := subject.host.cpu.usable_cores):
        yield warning(
            f"{title} cores",
            f"{job.cpus_per_task} granted, but this process may use {usable} "
            f"({subject.host.cpu.limits})",
            "start it with srun --cpus-per-task=$SLURM_CPUS_PER_TASK, which srun does not take "
            "from sbatch by itself, and do not bind it to fewer (--cpu-bind=none)"
            if job.scheduler == "slurm"
            else "look for what binds the process to fewer cores (taskset, a queue's binding)",
        )
