"""Watching claims for a heartbeat, where clocks do not tell whether their holders live.

A clock that was set makes a live claim look old. So a claim that seems dead is watched for
some heartbeats before it is taken over. A node that is lost leaves many claims, and to watch
each in turn would take a minute a job: whoever begins to watch one watches all beside it.
"""

import threading
import time
from pathlib import Path

from af3opt.execution.claims.holder import newest_claim


class ClaimWatch:
    """When claims last showed a heartbeat, by this process's own clock."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        # Claim -> its time when it was last seen to change, and when that was.
        self._seen: dict[Path, tuple[int, float]] = {}

    def beats(self, path: Path, seconds: float) -> bool:
        """Tells whether a claim's heartbeat moves; waits until that is known.

        Args:
            path: The claim.
            seconds: A claim that has not moved for so long is dead. What it has been watched
                for already counts.
        """
        if not self._is_known(path):
            self._begin(path)
        while True:
            moved, still = self._look(path)
            if moved:
                return True
            if still >= seconds:
                return False
            time.sleep(min(seconds / 25, seconds - still))

    def _is_known(self, path: Path) -> bool:
        with self._lock:
            return path in self._seen

    def _begin(self, path: Path) -> None:
        """Remembers a claim, and those of the jobs beside its job, as they are now."""
        beside = (newest_claim(job) for job in path.parent.parent.iterdir() if job.is_dir())
        for one in (path, *filter(None, beside)):
            self._look(one)

    def _look(self, path: Path) -> tuple[bool, float]:
        """Whether a claim has moved since it was last looked at, and how long it has not."""
        modified, now = _modified(path), time.monotonic()
        with self._lock:
            before = self._seen.get(path)
            if before is not None and before[0] == modified:
                return False, now - before[1]
            self._seen[path] = modified, now
            return before is not None, 0.0


def _modified(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0
