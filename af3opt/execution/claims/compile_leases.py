"""Which process of a node compiles the model for which bucket.

Workers of one node share a compile cache. The first one to need a bucket compiles it;
the others work on other buckets meanwhile, or wait, and then find the program in the
cache. A worker that dies while it compiles loses its lease as it loses its jobs.
"""

import contextlib
import dataclasses
import threading
from pathlib import Path

from af3opt.execution.claims.claim import keep_alive, try_claim

_DONE = "compiled"


@dataclasses.dataclass(slots=True)
class _Lease:
    """A bucket that this worker may compile.

    Attributes:
        jobs: Its jobs of that bucket that are under way.
        claim: Closed to let the bucket go.
    """

    jobs: int
    claim: contextlib.ExitStack


class CompileLeases:
    """The leases of one worker; its threads may use them at once."""

    def __init__(self, directory: Path) -> None:
        """Names the leases.

        Args:
            directory: Shared by the workers of one node that can use each other's
                compiled programs.
        """
        self._directory = directory
        self._held: dict[int, _Lease] = {}
        self._ready: set[int] = set()
        self._lock = threading.Lock()

    def acquire(self, bucket: int) -> bool:
        """Asks to run a job of a bucket: to compile it, or compiled already.

        Args:
            bucket: Padded tokens.

        Returns:
            False while another worker compiles it. After True, `release` is due.
        """
        with self._lock:
            if bucket in self._ready:
                return True
            if bucket in self._held:
                self._held[bucket].jobs += 1
                return True
            try:
                return self._lease(bucket)
            except OSError:
                # Without a place for leases a bucket may be compiled twice, no more.
                return True

    def _lease(self, bucket: int) -> bool:
        directory = self._directory / str(bucket)
        done = directory / _DONE
        claim = None if done.exists() else try_claim(directory)
        if done.exists():
            # Perhaps only since the first look: then nobody has to compile it any more.
            if claim is not None:
                claim.release()
            self._ready.add(bucket)
            return True
        if claim is None:
            return False
        stack = contextlib.ExitStack()
        stack.enter_context(keep_alive(claim))
        self._held[bucket] = _Lease(1, stack)
        return True

    def compiled(self, bucket: int) -> None:
        """Says that the bucket's program is in the cache."""
        with self._lock:
            self._ready.add(bucket)
            lease = self._held.pop(bucket, None)
        if lease is not None:
            with contextlib.suppress(OSError):
                (self._directory / str(bucket) / _DONE).touch()
            lease.claim.close()

    def release(self, bucket: int) -> None:
        """Ends a job of the bucket; gives back what none of them compiled."""
        with self._lock:
            lease = self._held.get(bucket)
            if lease is None:
                return
            lease.jobs -= 1
            if lease.jobs:
                return
            del self._held[bucket]
        lease.claim.close()
