"""What `--dry_run` says: jobs, sizes, time and memory, without engine or weights."""

import dataclasses
from collections.abc import Callable, Iterator, Sequence

from af3opt.base.padding import padded_size
from af3opt.execution.planning.deadline import SeedTimes
from af3opt.execution.planning.plan import PlannedJob
from af3opt.memory import JobSize
from af3opt.memory.forecast import GIB, DeviceNeed, host_bytes
from af3opt.settings.settings import Settings


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class JobPreview:
    """One job as far as its JSON tells.

    Attributes:
        name: Its name.
        tokens: Estimated number of tokens, 0 when the input cannot be read.
        bucket: Padded size.
        seeds: Number of seeds.
        done: Nothing is left to do for it.
        seconds: Estimated time of all its seeds, None when nothing is known.
        memory_bytes: Estimated memory, host and device together.
        memory_basis: Where that number comes from, see `DeviceNeed`.
    """

    name: str
    tokens: int
    bucket: int
    seeds: int
    done: bool
    seconds: float | None
    memory_bytes: int
    memory_basis: str


def preview_jobs(
    plan: Sequence[PlannedJob],
    settings: Settings,
    buckets: Sequence[int],
    *,
    times: SeedTimes,
    device_need: Callable[[JobSize], DeviceNeed],
    is_finished: Callable[[PlannedJob], bool],
) -> Iterator[JobPreview]:
    """Yields what would be done for each job.

    Args:
        plan: The jobs.
        settings: Give seeds and samples.
        buckets: Token counts inputs are padded to.
        times: Learned times.
        device_need: Device memory of a job, from `KnownPrograms.need`.
        is_finished: Tells whether nothing is left to do for a job.
    """
    for planned in plan:
        bucket = padded_size(planned.tokens, buckets)
        seeds = settings.num_seeds or len(planned.seeds) or 1
        size = JobSize(
            tokens=bucket,
            samples=settings.num_diffusion_samples,
            embeddings=settings.save_embeddings,
            distogram=settings.save_distogram,
        )
        need = device_need(size)
        each = times.estimate(bucket)
        yield JobPreview(
            name=planned.name,
            tokens=planned.tokens,
            bucket=bucket,
            seeds=seeds,
            done=is_finished(planned),
            seconds=None if each is None else each * seeds,
            memory_bytes=host_bytes(size) + need.bytes,
            memory_basis=need.basis,
        )


def preview_lines(jobs: Sequence[JobPreview]) -> Iterator[str]:
    """Yields the preview as a table and what it adds up to."""
    width = max((len(job.name) for job in jobs), default=0)
    yield f"{'job':<{width}}  tokens  padded  seeds  estimated time  memory"
    for job in jobs:
        memory = f"{job.memory_bytes / GIB:.1f} GiB ({job.memory_basis})"
        time = "done already" if job.done else duration_text(job.seconds)
        tokens = f"~{job.tokens}" if job.tokens else "?"
        sizes = f"{tokens:>6}  {job.bucket:>6}  {job.seeds:>5}"
        yield f"{job.name:<{width}}  {sizes}  {time:>14}  {memory}"
    left = [job for job in jobs if not job.done]
    known = [job.seconds for job in left if job.seconds is not None]
    total = duration_text(sum(known)) if known or not left else "unknown"
    unknown = f" and {len(left) - len(known)} job(s) of unknown length" if known else ""
    yield (
        f"{len(left)} of {len(jobs)} job(s) to do, {len({job.bucket for job in left})} padded "
        f"size(s) to compile, estimated time {total}{unknown if len(known) < len(left) else ''}"
    )


def duration_text(seconds: float | None) -> str:
    """Writes seconds for a person: "90 s", "12 min", "3.4 h", or "unknown" for None."""
    if seconds is None:
        return "unknown"
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
