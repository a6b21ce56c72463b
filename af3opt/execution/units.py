"""What passes from stage to stage: a seed to do, featurised, run; and the end of a job."""

import dataclasses

from af3opt.execution.job.fold_job import FoldJob
from af3opt.execution.planning.plan import PlannedJob
from af3opt.features.engine_features import Batch
from af3opt.numerics.checked import CheckedResult


@dataclasses.dataclass(frozen=True, slots=True)
class SeedToDo:
    """A seed whose job is open and has its MSAs and templates.

    Attributes:
        job: Its job.
        seed: The seed.
        upcoming: Seeds of the job whose conformers may be begun with it.
        bucket: Padded tokens.
    """

    job: FoldJob
    seed: int
    upcoming: tuple[int, ...]
    bucket: int


@dataclasses.dataclass(frozen=True, slots=True)
class Featurised:
    """A seed that is ready for the device.

    Attributes:
        unit: The seed.
        batch: Its features, None when the job failed.
        seconds: Time they took.
    """

    unit: SeedToDo
    batch: Batch | None
    seconds: float


@dataclasses.dataclass(frozen=True, slots=True)
class Ran:
    """A seed that has left the device.

    Attributes:
        unit: The seed.
        batch: Its features.
        checked: The model's result.
        padded: Padded tokens of the features.
        seconds: Time that features and model took.
        once: Time that compiling and loading the weights took besides.
    """

    unit: SeedToDo
    batch: Batch
    checked: CheckedResult
    padded: int
    seconds: float
    once: float


@dataclasses.dataclass(frozen=True, slots=True)
class JobEnd:
    """Follows a job's last seed through the stages: nothing of the job comes after it.

    Attributes:
        job: The job.
        planned: Its place in the plan.
        started: `time.monotonic()` when it was begun.
    """

    job: FoldJob
    planned: PlannedJob
    started: float
