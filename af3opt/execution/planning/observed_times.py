"""How long the finished seeds of an output directory took, for those that are left."""

import statistics
from collections.abc import Sequence

from af3opt.progress.growth import model_work, seconds_for

# The engine's own numbers; sizes are compared with each other only.
_SAMPLES, _RECYCLES, _STEPS = 5, 10, 200
# Weight of the newest job among those of one size.
_NEWEST = 0.3


class ObservedTimes:
    """Seconds of a seed by token count; between counts the rule of learned times holds.

    Attributes:
        seeds: How many seeds they rest on.
    """

    def __init__(self) -> None:
        """Knows nothing yet."""
        self._seconds: dict[float, float] = {}
        self.seeds = 0

    def learn(self, tokens: int, seconds: Sequence[float]) -> None:
        """Takes in finished seeds of one job.

        Args:
            tokens: Tokens of the job.
            seconds: What each of its seeds took, at least one.
        """
        # The median: the first seed of a process takes longer than the others.
        middle, work = statistics.median(seconds), _work(tokens)
        known = self._seconds.get(work, middle)
        self._seconds[work] = known + _NEWEST * (middle - known)
        self.seeds += len(seconds)

    def estimate(self, tokens: int) -> float | None:
        """Seconds that a seed should take, None when nothing is known."""
        return seconds_for(_work(tokens), self._seconds) if self._seconds else None


def _work(tokens: int) -> float:
    return model_work(max(tokens, 1), _SAMPLES, _RECYCLES, _STEPS)
