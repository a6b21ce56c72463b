"""The stages of a job, the words they are announced with, and their times."""

import dataclasses
import threading
from collections.abc import Mapping


@dataclasses.dataclass(frozen=True, slots=True)
class Stage:
    """A stage and its log lines; where upstream has one, the words are upstream's.

    Attributes:
        name: Name in the run record.
        begin: Format of the line at its start, "" for none.
        end: Format of the line at its end; `{seconds}` is filled in.
    """

    name: str
    begin: str
    end: str


# People find times in logs by these words, so they are kept as they are.
DATA_PIPELINE = Stage(
    "data_pipeline",
    "Running data pipeline...",
    "Running data pipeline took {seconds:.2f} seconds.",
)
FEATURISE = Stage(
    "featurise",
    "Featurising data with seed {seed}.",
    "Featurising data with seed {seed} took {seconds:.2f} seconds.",
)
INFERENCE = Stage(
    "inference",
    "Running model inference with seed {seed}...",
    "Running model inference with seed {seed} took {seconds:.2f} seconds.",
)
EXTRACT = Stage(
    "extract",
    "Extracting inference results with seed {seed}...",
    "Extracting {samples} inference samples with seed {seed} took {seconds:.2f} seconds.",
)
WRITE = Stage(
    "write",
    "Writing outputs with seed {seed}...",
    "Writing outputs with seed {seed} took {seconds:.2f} seconds.",
)

STAGES = (DATA_PIPELINE, FEATURISE, INFERENCE, EXTRACT, WRITE)

# Upstream's totals over a job's seeds: stages -> line.
JOB_TOTALS: Mapping[tuple[str, ...], str] = {
    (FEATURISE.name,): "Featurising data with {seeds} seed(s) took {seconds:.2f} seconds.",
    (INFERENCE.name, EXTRACT.name): (
        "Running model inference and extracting output structures with {seeds} seed(s) took "
        "{seconds:.2f} seconds."
    ),
}


@dataclasses.dataclass(frozen=True, slots=True)
class StageTime:
    """One run of a stage.

    Attributes:
        name: The stage.
        seed: Its seed, None for the whole job.
        seconds: Wall time.
    """

    name: str
    seed: int | None
    seconds: float


class StageClock:
    """Keeps the times of stages, which may run in several threads."""

    def __init__(self) -> None:
        self._times: list[StageTime] = []
        self._lock = threading.Lock()

    def add(self, time: StageTime) -> None:
        """Notes one run of a stage."""
        with self._lock:
            self._times.append(time)

    @property
    def times(self) -> tuple[StageTime, ...]:
        """All runs, in the order they ended."""
        with self._lock:
            return tuple(self._times)

    def total(self, *names: str) -> float:
        """Seconds spent in these stages together; overlapping ones count fully."""
        return sum(time.seconds for time in self.times if time.name in names)

    def seeds(self, name: str) -> int:
        """Number of different seeds a stage was run for."""
        return len({time.seed for time in self.times if time.name == name})
