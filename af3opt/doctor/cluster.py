"""The Slurm job this process runs in, if any."""

import shutil
import time
from collections.abc import Iterator

from af3opt.doctor.check import Check, Subject, gigabytes, ok, skipped, warning


def check_slurm(subject: Subject) -> Iterator[Check]:
    """What the job was granted, and what it forgot to ask for."""
    job = subject.host.slurm
    if job is None:
        present = shutil.which("sbatch", path=subject.environ.get("PATH"))
        yield skipped(
            "Slurm",
            "outside a job; inside one this shows what it was granted (srun af3opt doctor)"
            if present
            else "not on this machine",
        )
        return
    facts = [f"job {job.job_id} on {job.nodelist or 'an unknown node'}"]
    if job.memory_bytes:
        facts.append(f"{gigabytes(job.memory_bytes)} of memory")
    if job.end_time is not None:
        facts.append(f"{max(0.0, job.end_time - time.time()) / 60:.0f} min left")
    yield ok("Slurm", ", ".join(facts))
    if job.cpus_per_task is None:
        yield warning(
            "Slurm cores",
            "the job did not ask for --cpus-per-task, so threads follow the affinity alone",
            "add #SBATCH --cpus-per-task=N",
        )
    elif job.cpus_per_task > (usable := subject.host.cpu.usable_cores):
        yield warning(
            "Slurm cores",
            f"{job.cpus_per_task} granted, but this process may use {usable} "
            f"({subject.host.cpu.limits})",
            "start it with srun --cpus-per-task=$SLURM_CPUS_PER_TASK, which srun does not take "
            "from sbatch by itself, and do not bind it to fewer (--cpu-bind=none)",
        )
    if job.end_time is None:
        yield warning(
            "Slurm time limit",
            "SLURM_JOB_END_TIME is not exported (Slurm before 22.05)",
            "give --max_runtime=SECONDS, so that no seed is started that cannot finish",
        )
