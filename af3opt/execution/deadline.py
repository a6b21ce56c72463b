"""Whether there is time for another seed before the job must end."""

import os
import subprocess
import time
from collections.abc import Mapping

from af3opt.settings import Settings

# Writing, and Slurm's own grace period, need a little of the end.
_MARGIN_SECONDS = 30.0


class Deadline:
    """The end of the process's time, and how long seeds take.

    Durations of seeds already run are the estimate for the next one of the same
    bucket; before there is one, any seed may start as long as time is left.
    """

    def __init__(self, end: float | None) -> None:
        """Sets the end.

        Args:
            end: `time.time()` at which everything must be written, None for never.
        """
        self._end = end
        self._slowest: dict[int, float] = {}

    def learn(self, bucket: int, seconds: float) -> None:
        """Notes how long a seed of a bucket took, compilation included."""
        self._slowest[bucket] = max(seconds, self._slowest.get(bucket, 0.0))

    def allows(self, bucket: int) -> bool:
        """Tells whether a seed of this bucket would finish in time."""
        if self._end is None:
            return True
        return time.time() + self._slowest.get(bucket, 0.0) + _MARGIN_SECONDS < self._end


def find_deadline(settings: Settings, environ: Mapping[str, str]) -> Deadline:
    """Takes the end from `--max_runtime`, else from the Slurm job, else there is none."""
    if settings.max_runtime is not None:
        return Deadline(time.time() + settings.max_runtime)
    if "SLURM_JOB_ID" not in environ:
        return Deadline(None)
    end = environ.get("SLURM_JOB_END_TIME", "")
    return Deadline(float(end) if end.isdigit() else _ask_scontrol(environ["SLURM_JOB_ID"]))


def _ask_scontrol(job: str) -> float | None:
    """The end of a Slurm job, for versions that do not export it (before 22.05)."""
    try:
        answer = subprocess.run(
            ["scontrol", "--oneliner", "show", "job", job],
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
            env={**os.environ, "SLURM_TIME_FORMAT": "%s"},
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    for word in answer.stdout.split():
        name, _, value = word.partition("=")
        if name == "EndTime" and value.isdigit():
            return float(value)
    return None
