"""The questions that af3opt asks a scheduler; one class a scheduler answers them."""

import abc
import dataclasses
import os
import subprocess
from collections.abc import Collection, Mapping, Sequence
from typing import ClassVar

_PATIENCE_SECONDS = 20.0


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class BatchJob:
    """The job of a scheduler that this process runs in.

    Attributes:
        scheduler: Name of the scheduler, such as "slurm".
        label: How the scheduler's commands call this job, or this task of its array.
        job_id: The job's id.
        array_job_id: Id of the whole array, or None outside one.
        array_task_id: Index in the array, or None.
        nodelist: Nodes of the job as the scheduler writes them, or None.
        cpus_per_task: Cores that the job asked for, or None if it did not.
        memory_bytes: Memory granted on this node, or None if not limited or not told.
        end_time: When the time limit ends the job, in seconds since the epoch, or
            None if the environment does not tell (`Queue.end_time` asks).
        restarts: How often it was put back into the queue; its id stays the same.
    """

    scheduler: str
    label: str
    job_id: str
    array_job_id: str | None = None
    array_task_id: int | None = None
    nodelist: str | None = None
    cpus_per_task: int | None = None
    memory_bytes: int | None = None
    end_time: int | None = None
    restarts: int = 0


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ArrayPlace:
    """Where this process stands in its array.

    Attributes:
        task: Its index.
        first: Smallest index of the array.
        last: Largest index of the array.
        step: Distance between two indices.
        count: Number of tasks that were submitted.
    """

    task: int
    first: int
    last: int
    step: int
    count: int


class Queue(abc.ABC):
    """One scheduler's queue.

    Attributes:
        name: Name of the scheduler in flags and files.
        title: Name for people.
        cores_variable: What tells a job how many cores it asked for.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    cores_variable: ClassVar[str]

    @abc.abstractmethod
    def own_job(self, environ: Mapping[str, str]) -> BatchJob | None:
        """Reads the job's facts from its environment; None outside a job."""

    @abc.abstractmethod
    def own_place(self, environ: Mapping[str, str]) -> ArrayPlace | None:
        """Reads the place in an array; None outside one, or if it is not told in full."""

    @abc.abstractmethod
    def states(self, labels: Collection[str]) -> dict[str, bool]:
        """Asks once which jobs still wait or run.

        Args:
            labels: Jobs, arrays or tasks of arrays, as `BatchJob.label` writes them.

        Returns:
            Label -> whether it waits or runs; without those the scheduler cannot tell, and
            with others that its answer tells of, such as all tasks of an array.
        """

    def alive(self, labels: Collection[str]) -> dict[str, bool]:
        """Asks once which of these jobs still wait or run; see `states`."""
        known = self.states(labels)
        return {label: known[label] for label in labels if label in known}

    @abc.abstractmethod
    def end_time(self, job: BatchJob) -> float | None:
        """Asks when the time limit ends a job, in seconds since the epoch; None if unknown."""


def ask(
    command: Sequence[str], variables: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str] | None:
    """Runs a scheduler's command; None when it is not there or does not answer.

    Args:
        command: Program and arguments.
        variables: Environment variables for it, besides our own.
    """
    try:
        return subprocess.run(
            command,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_PATIENCE_SECONDS,
            check=False,
            env={**os.environ, **(variables or {})},
        )
    except (OSError, subprocess.TimeoutExpired):
        return None


def integer(text: str | None) -> int | None:
    """Reads a whole number; None for anything else."""
    try:
        return int(text) if text is not None else None
    except ValueError:
        return None


def positive(text: str | None) -> int | None:
    """Reads a whole number above 0; None for anything else."""
    value = integer(text)
    return value if value is not None and value > 0 else None


def clock_seconds(text: str) -> int | None:
    """Reads `[[hours:]minutes:]seconds`; None for anything else."""
    total = 0
    for part in text.split(":"):
        if not part.isdigit():
            return None
        total = 60 * total + int(part)
    return total
