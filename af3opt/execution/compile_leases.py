"""Which process of a node compiles the model for which bucket.

Workers of one node share a compile cache. The first one to need a bucket compiles it;
the others work on other buckets meanwhile, or wait, and then find the program in the
cache. A worker that dies while it compiles loses its lease as it loses its jobs.
"""

import contextlib
import socket
from pathlib import Path

from af3opt.execution.claims import Claim, keep_alive, try_claim

_DONE = "compiled"


class CompileLeases:
    """The leases of one worker."""

    def __init__(self, directory: Path) -> None:
        """Names the leases.

        Args:
            directory: Shared by the workers of one batch; may serve several nodes.
        """
        self._directory = directory / socket.gethostname()
        self._held: dict[int, contextlib.ExitStack] = {}
        self._ready: set[int] = set()

    def may_use(self, bucket: int) -> bool:
        """Tells whether this worker may run the bucket now: to compile it, or compiled."""
        if bucket in self._ready or bucket in self._held:
            return True
        directory = self._directory / str(bucket)
        if (directory / _DONE).exists():
            self._ready.add(bucket)
            return True
        claim = try_claim(directory)
        if claim is None:
            return False
        self._hold(bucket, claim)
        return True

    def compiled(self, bucket: int) -> None:
        """Says that the bucket's program is in the cache."""
        held = self._held.pop(bucket, None)
        self._ready.add(bucket)
        if held is not None:
            (self._directory / str(bucket) / _DONE).touch()
            held.close()

    def release(self) -> None:
        """Gives back what was leased and never compiled."""
        for held in self._held.values():
            held.close()
        self._held.clear()

    def _hold(self, bucket: int, claim: Claim) -> None:
        stack = contextlib.ExitStack()
        stack.enter_context(keep_alive(claim))
        self._held[bucket] = stack
