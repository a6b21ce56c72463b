"""What passes from stage to stage: a seed to do, featurised, run; and when its job is over."""

import dataclasses
import threading
from collections.abc import Callable

from af3opt.execution.job.fate import JobFate
from af3opt.execution.job.loading import LoadedJob
from af3opt.execution.job.resolving import ResolvedJob
from af3opt.execution.job.seed_steps import SeedFeatures
from af3opt.execution.job.writing import JobWriter
from af3opt.numerics.checked import CheckedResult
from af3opt.progress import JobReport


@dataclasses.dataclass(frozen=True, slots=True)
class RunningJob:
    """A job that is being done.

    Attributes:
        loaded: The job.
        report: Is told what happens to it.
        started: `time.monotonic()` when it was begun.
    """

    loaded: LoadedJob
    report: JobReport
    started: float

    @property
    def fate(self) -> JobFate:
        """How it will end."""
        return self.loaded.claimed.fate


class SeedCount:
    """Counts what is under way of a job; the last to be over ends the job, in its thread."""

    def __init__(self, end_job: Callable[[], None]) -> None:
        """Begins with one: whoever hands out the job's seeds, and may add more.

        Args:
            end_job: Called once, when nothing of the job is under way any more.
        """
        self._end_job = end_job
        self._under_way = 1
        self._lock = threading.Lock()

    def add(self) -> None:
        """Another seed is under way."""
        with self._lock:
            self._under_way += 1

    def over(self) -> None:
        """A seed is written or given up, or no further one follows."""
        with self._lock:
            self._under_way -= 1
            last = not self._under_way
        if last:
            self._end_job()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SeedToDo:
    """A seed whose job is open and has its MSAs and templates.

    Attributes:
        job: Its job.
        writer: Writes its results.
        seed: The seed.
        upcoming: Seeds of the job whose conformers may be begun with it.
        bucket: Padded tokens.
        count: To be told when the seed is over.
    """

    job: ResolvedJob
    writer: JobWriter
    seed: int
    upcoming: tuple[int, ...]
    bucket: int
    count: SeedCount

    @property
    def fate(self) -> JobFate:
        """How its job will end."""
        return self.job.loaded.claimed.fate


@dataclasses.dataclass(frozen=True, slots=True)
class Featurised:
    """A seed that is ready for the device.

    Attributes:
        unit: The seed.
        features: Its features, None when the job failed.
    """

    unit: SeedToDo
    features: SeedFeatures | None


@dataclasses.dataclass(frozen=True, slots=True)
class Ran:
    """A seed that has left the device.

    Attributes:
        unit: The seed.
        features: Its features.
        checked: The model's result.
        seconds: Time that features and model took.
        once: Time that compiling and loading the weights took besides.
    """

    unit: SeedToDo
    features: SeedFeatures
    checked: CheckedResult
    seconds: float
    once: float
