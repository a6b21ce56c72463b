"""How long the finished seeds of an output directory took, for those that are left."""

import statistics
from collections.abc import Sequence
from pathlib import Path

from af3opt.execution.planning.deadline import SEED_STAGE
from af3opt.progress import LearnedTimes, Workload


class ObservedTimes:
    """Seconds of a seed by token count; between counts the rule of learned times holds.

    Attributes:
        seeds: How many seeds they rest on.
    """

    def __init__(self) -> None:
        """Knows nothing yet."""
        # Nothing is read or kept: only the rule for other sizes is used.
        self._learned = LearnedTimes(Path("/nonexistent"))
        self.seeds = 0

    def learn(self, tokens: int, seconds: Sequence[float]) -> None:
        """Takes in finished seeds of one job.

        Args:
            tokens: Tokens of the job.
            seconds: What each of its seeds took, at least one.
        """
        # The median: the first seed of a process includes compiling.
        self._learned.learn(SEED_STAGE, _workload(tokens), statistics.median(seconds))
        self.seeds += len(seconds)

    def estimate(self, tokens: int) -> float | None:
        """Seconds that a seed should take, None when nothing is known."""
        return self._learned.estimate(SEED_STAGE, _workload(tokens))


def _workload(tokens: int) -> Workload:
    return Workload(device="", tokens=max(tokens, 1), samples=0, recycles=0, steps=0)
