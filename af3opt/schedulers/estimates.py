"""How long a seed should take where the tasks will run, by the best source there is."""

import dataclasses
import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from af3opt.base.json_types import JsonObject
from af3opt.base.padding import padded_size
from af3opt.execution.job.run_journal import read_seed_record
from af3opt.execution.job.state_files import read_run_file
from af3opt.execution.planning.deadline import SEED_STAGE, depth_label, seed_workload
from af3opt.execution.planning.kept_plans import read_plans
from af3opt.execution.planning.observed_times import ObservedTimes
from af3opt.execution.state_directory import jobs_directory
from af3opt.progress import LearnedTimes
from af3opt.settings.settings import Settings

# One A100 (80 GB), 5 samples, compilation not included: tokens and seconds of DeepMind's
# docs/performance.md.
_PUBLISHED = ((1024, 62.0), (2048, 275.0), (3072, 703.0), (4096, 1434.0), (5120, 2547.0))
# Below the smallest published size, time is taken to grow with this power of the tokens,
# down to a tenth of that size, where the diffusion's many short steps take over.
_GROWTH_BELOW = 2.0
_SMALLEST = 0.1
# What else decides how long a seed takes, by its name in a run's journal.
_DECISIVE = ("num_recycles", "num_diffusion_samples", "num_diffusion_steps")
# So many runs tell enough; a batch may have thousands.
_MOST_RUNS = 200


@dataclasses.dataclass(frozen=True, slots=True)
class SeedEstimates:
    """Estimates and where they come from.

    Attributes:
        seconds: Padded tokens -> seconds of one seed.
        source: For the user, after "by".
    """

    seconds: Callable[[int], float]
    source: str


def find_estimates(
    settings: Settings, output_dir: Path, buckets: Sequence[int], backend: str
) -> SeedEstimates:
    """Chooses the source: this batch, else this installation, else what is published.

    Args:
        settings: Give samples, recycles, diffusion steps and weights.
        output_dir: Output directory of the batch; need not exist.
        buckets: Token counts inputs are padded to.
        backend: Where the model will run: "cpu", "gpu" or "mps".
    """
    observed = _observed(settings, output_dir, buckets, backend)
    if observed.seeds:
        return SeedEstimates(
            lambda bucket: observed.estimate(bucket) or 0.0,
            f"{observed.seeds} seed(s) that are finished in {output_dir}",
        )
    learned = LearnedTimes()
    depth = depth_label(settings.model_dir)
    devices = [
        device
        for device in learned.devices(SEED_STAGE)
        if device.startswith(f"{backend} ")
        and device.endswith(" weights)") == bool(depth)
        and device.endswith(depth)
        and _known(learned, settings, device, buckets[0]) is not None
    ]
    if devices:
        # A task may land on any of them, so on the slowest.
        return SeedEstimates(
            lambda bucket: max(
                _known(learned, settings, device, bucket) or 0.0 for device in devices
            ),
            f"what was learned on {', '.join(devices)}",
        )
    return SeedEstimates(
        published_seconds,
        "DeepMind's times of one A100 80 GB, since nothing was run with these settings yet",
    )


def published_seconds(bucket: int) -> float:
    """Seconds of a seed of a bucket by `docs/performance.md` of AlphaFold 3.

    Between the published sizes, and beyond the largest, time grows with the power of
    the tokens that leads from one to the next.
    """
    first, seconds = _PUBLISHED[0]
    if bucket <= first:
        return float(seconds * max(bucket / first, _SMALLEST) ** _GROWTH_BELOW)
    pairs = list(itertools.pairwise(_PUBLISHED))
    (low, start), (high, end) = next((pair for pair in pairs if bucket <= pair[1][0]), pairs[-1])
    power = math.log(end / start) / math.log(high / low)
    return float(start * (bucket / low) ** power)


def _known(learned: LearnedTimes, settings: Settings, device: str, bucket: int) -> float | None:
    return learned.estimate(SEED_STAGE, seed_workload(settings, device, bucket))


def _observed(
    settings: Settings, output_dir: Path, buckets: Sequence[int], backend: str
) -> ObservedTimes:
    """Seconds of the finished seeds of runs with these settings."""
    tokens = {job.name: job.tokens for job in read_plans(output_dir)}
    wanted = {name: getattr(settings, name) for name in _DECISIVE} | {"jax_backend": backend}
    times = ObservedTimes()
    for name, seconds in itertools.islice(_finished_runs(output_dir, wanted), _MOST_RUNS):
        if tokens.get(name):
            times.learn(padded_size(tokens[name], buckets), seconds)
    return times


def _finished_runs(output_dir: Path, wanted: JsonObject) -> Iterator[tuple[str, list[float]]]:
    """Yields job name and seconds of its seeds for each run with the wanted settings."""
    for path in jobs_directory(output_dir).glob("*/*/run.json"):
        run = read_run_file(path)
        if run is None or any(run.parts.get(name) != value for name, value in wanted.items()):
            continue
        records = map(read_seed_record, path.parent.glob("seed-*.json"))
        seconds = [record.seconds for record in records if record is not None]
        if seconds:
            yield path.parent.parent.name, seconds
