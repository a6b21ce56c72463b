"""Whether there is time for another seed before the job must end."""

import logging
import os
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

from af3opt.data.synthetic_weights import read_manifest
from af3opt.environment.backend import Backend
from af3opt.host.cgroups import read_cgroup_limits
from af3opt.host.host import probe_cpu
from af3opt.host.queues.every import QUEUES, find_own_job
from af3opt.progress import LearnedTimes, Workload
from af3opt.settings.settings import Settings

# Writing, and the scheduler's own grace period, need a little of the end.
_MARGIN_SECONDS = 30.0
# The stage under which `LearnedTimes` keeps whole seeds.
SEED_STAGE = "seed"
# The engine's own number when `--num_diffusion_steps` is not given.
_USUAL_STEPS = 200

_log = logging.getLogger(__name__)


class Deadline:
    """The end of the process's time, and how long seeds take.

    A seed is taken to last as long as the slowest one of its bucket that this process
    has run, or as earlier processes on such a device have learned, whichever is
    longer. Where nothing is known, any seed may start as long as time is left.
    """

    def __init__(self, seconds: float | None, times: "SeedTimes") -> None:
        """Sets the end.

        Args:
            seconds: Time from now until everything must be written, None for no end.
            times: What is known about how long seeds take.
        """
        # Not the time of day: that can be set while a job runs.
        self._end = None if seconds is None else time.monotonic() + seconds
        self._times = times
        self._slowest: dict[int, float] = {}
        self._said = False

    def learn(self, bucket: int, seconds: float) -> None:
        """Notes how long a seed of a bucket took, compilation included, waiting not."""
        self._slowest[bucket] = max(seconds, self._slowest.get(bucket, 0.0))
        self._times.learn(bucket, seconds)

    def allows(self, bucket: int, ahead: Iterable[int] = ()) -> bool:
        """Tells whether a seed of this bucket would finish in time.

        Args:
            bucket: Padded tokens of the seed.
            ahead: Those of the seeds that the device takes before it.
        """
        if self._end is None:
            return True
        known = sum(map(self._seconds, (bucket, *ahead)))
        left = self._end - time.monotonic()
        if known + _MARGIN_SECONDS < left:
            return True
        if not self._said:
            self._said = True
            _log.warning(
                "No time for a seed of %d tokens: %.0f s are left, and it takes about %.0f s "
                "with what is before it, %.0f s to spare included",
                bucket, max(left, 0.0), known + _MARGIN_SECONDS, _MARGIN_SECONDS,
            )  # fmt: skip
        return False

    def _seconds(self, bucket: int) -> float:
        return max(self._slowest.get(bucket, 0.0), self._times.estimate(bucket) or 0.0)


class SeedTimes:
    """How long seeds take with these settings on this kind of device, kept between runs."""

    def __init__(self, settings: Settings, device: str, learned: LearnedTimes) -> None:
        """Connects what is known.

        Args:
            settings: Gives samples, recycles and diffusion steps.
            device: From `device_label`.
            learned: Times of this process and earlier ones.
        """
        self._learned = learned
        self._settings = settings
        self._device = device

    def estimate(self, bucket: int) -> float | None:
        """Seconds that a seed of this bucket should take, None when nothing is known."""
        return self._learned.estimate(SEED_STAGE, self._workload(bucket))

    def learn(self, bucket: int, seconds: float) -> None:
        """Notes how long the stages of a seed took together."""
        self._learned.learn(SEED_STAGE, self._workload(bucket), seconds)
        self._learned.save()

    def _workload(self, bucket: int) -> Workload:
        return seed_workload(self._settings, self._device, bucket)


def seed_workload(settings: Settings, device: str, bucket: int) -> Workload:
    """What decides how long a seed takes.

    Args:
        settings: Gives samples, recycles and diffusion steps.
        device: From `device_label`.
        bucket: Padded tokens.
    """
    return Workload(
        device=device,
        tokens=bucket,
        samples=settings.num_diffusion_samples,
        recycles=settings.num_recycles,
        steps=settings.num_diffusion_steps or _USUAL_STEPS,
    )


def device_label(backend: Backend, model_dir: Path) -> str:
    """Names the kind of device for learned times; weights of reduced depth count apart."""
    if backend.gpu:
        device = backend.gpu.name
    else:
        cpu = probe_cpu(find_own_job(os.environ), read_cgroup_limits())
        device = f"{cpu.model} x{cpu.usable_cores}"
    return f"{backend.name} {device}{depth_label(model_dir)}"


def depth_label(model_dir: Path) -> str:
    """What weights of reduced depth add to the name of a device; else ""."""
    manifest = read_manifest(model_dir)
    return f" ({manifest.depth} weights)" if manifest and manifest.depth != "full" else ""


def find_deadline(settings: Settings, environ: Mapping[str, str], times: SeedTimes) -> Deadline:
    """Takes the end from `--max_runtime`, else from the scheduler, else there is none."""
    if settings.max_runtime is not None:
        return Deadline(settings.max_runtime, times)
    job = find_own_job(environ)
    if job is None:
        return Deadline(None, times)
    end = job.end_time if job.end_time is not None else QUEUES[job.scheduler].end_time(job)
    return Deadline(None if end is None else end - time.time(), times)
