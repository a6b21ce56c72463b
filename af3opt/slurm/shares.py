"""Which fold jobs an array task gets: of one padded size, for about the wanted time."""

import itertools
import math
from collections.abc import Callable, Sequence
from pathlib import Path

from af3opt.execution.planning.plan import PlannedJob, padded_size
from af3opt.slurm.site import Site


def share_out(
    plan: Sequence[PlannedJob],
    buckets: Sequence[int],
    site: Site,
    *,
    num_seeds: int | None,
    estimate: Callable[[int], float],
) -> list[list[Path]]:
    """Divides the inputs among array tasks.

    Args:
        plan: All jobs.
        buckets: Token counts inputs are padded to.
        site: Gives time, number of jobs and number of tasks.
        num_seeds: `--num_seeds`.
        estimate: Seconds for a seed of a bucket.

    Returns:
        Input files for each task; no file is in two of them.
    """
    costs: dict[Path, float] = {}
    sizes: dict[Path, int] = {}
    for job in plan:
        bucket = padded_size(job.tokens, buckets)
        seconds = estimate(bucket) * (num_seeds or len(job.seeds) or 1)
        # A file with several jobs is one unit, as large as its largest job.
        costs[job.path] = costs.get(job.path, 0.0) + seconds
        sizes[job.path] = max(sizes.get(job.path, 0), bucket)
    seconds_per_task = float(max(1, site.minutes_per_task) * 60)
    jobs_per_task = max(1, site.max_jobs_per_task)
    while True:
        shares = _fill(costs, sizes, seconds_per_task, jobs_per_task)
        if len(shares) <= max(1, site.max_tasks):
            return shares
        excess = len(shares) / max(1, site.max_tasks)
        seconds_per_task *= excess * 1.1
        jobs_per_task = math.ceil(jobs_per_task * excess * 1.1)
        if jobs_per_task > len(costs):
            # Fewer tasks than buckets: give up keeping buckets apart.
            sizes = dict.fromkeys(sizes, 0)


def _fill(
    costs: dict[Path, float], sizes: dict[Path, int], seconds_per_task: float, jobs_per_task: int
) -> list[list[Path]]:
    shares = []
    ordered = sorted(costs, key=lambda path: (sizes[path], path))
    for _, group in itertools.groupby(ordered, key=lambda path: sizes[path]):
        share: list[Path] = []
        filled = 0.0
        for path in group:
            if share and (filled + costs[path] > seconds_per_task or len(share) >= jobs_per_task):
                shares.append(share)
                share, filled = [], 0.0
            share.append(path)
            filled += costs[path]
        shares.append(share)
    return shares
