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

    A seed does not start when it is certain that it would not end in time: it takes as
    long as the slowest one of its bucket, or of a smaller one, that this process has run
    or that earlier ones on such a device have learned. Compiling is not counted, which
    a cache may save. What is only estimated from other sizes never keeps a seed from
    starting; a line says so.
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
        self._doubted: set[int] = set()

    def learn(self, bucket: int, seconds: float, once: float = 0.0) -> None:
        """Notes how long a seed of a bucket took, waiting not included.

        Args:
            bucket: Padded tokens.
            seconds: What any seed of the bucket takes.
            once: What it took besides, to compile and to load the weights.
        """
        self._slowest[bucket] = max(seconds, self._slowest.get(bucket, 0.0))
        self._times.learn(bucket, seconds, once)

    def allows(self, bucket: int, ahead: Iterable[int] = ()) -> bool:
        """Tells whether a seed of this bucket may start.

        Args:
            bucket: Padded tokens of the seed.
            ahead: Those of the seeds that the device takes before it.
        """
        if self._end is None:
            return True
        certain = sum(map(self._at_least, (bucket, *ahead)))
        left = self._end - time.monotonic()
        if certain + _MARGIN_SECONDS < left:
            self._doubt(bucket, left)
            return True
        if not self._said:
            self._said = True
            _log.warning(
                "No time for a seed of %d tokens: %.0f s are left, and it takes about %.0f s "
                "with what is before it, %.0f s to spare included",
                bucket, max(left, 0.0), certain + _MARGIN_SECONDS, _MARGIN_SECONDS,
            )  # fmt: skip
        return False

    def _at_least(self, bucket: int) -> float:
        here = [seconds for size, seconds in self._slowest.items() if size <= bucket]
        return max(self._times.at_least(bucket), *here, 0.0)

    def _doubt(self, bucket: int, left: float) -> None:
        """Says once for a bucket when it may not end in time, by what other sizes took."""
        estimate = self._times.estimate(bucket)
        if estimate is None or estimate < left or bucket in self._doubted:
            return
        self._doubted.add(bucket)
        _log.info(
            "A seed of %d tokens is tried though it may not end in time: %.0f s are left; by "
            "what other sizes took, it takes about %.0f s",
            bucket, left, estimate,
        )  # fmt: skip


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

    def once(self, bucket: int) -> float | None:
        """Seconds to compile for this bucket, None when nothing is known."""
        return self._learned.once(SEED_STAGE, self._workload(bucket))

    def at_least(self, bucket: int) -> float:
        """Seconds that a seed of this bucket takes for certain, by measurements alone."""
        return self._learned.at_least(SEED_STAGE, self._workload(bucket))

    def learn(self, bucket: int, seconds: float, once: float = 0.0) -> None:
        """Notes how long the stages of a seed took together; see `Deadline.learn`."""
        self._learned.learn(SEED_STAGE, self._workload(bucket), seconds, once)
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
