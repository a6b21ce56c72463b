"""How a job will end: the one thing of it that threads change, and the rules for that.

The first failure wins. A job that is lost stays lost, whatever else goes wrong with it.
"""

import enum
import threading
from collections.abc import Callable

from af3opt.base.errors import Af3optError
from af3opt.execution.failure import Failure, failure_of


class JobLostError(Af3optError):
    """The job belongs to another process now."""


class Verdict(enum.Enum):
    """What became of a job; where several hold, the first of these counts."""

    LOST = enum.auto()
    FAILED = enum.auto()
    LEFT = enum.auto()
    DONE = enum.auto()


class JobFate:
    """What the threads of a job tell each other; all of it under one lock."""

    def __init__(self, is_still_ours: Callable[[], bool] = lambda: True) -> None:
        """Begins with a job that is this process's and goes well.

        Args:
            is_still_ours: Tells whether no other process has taken the job over.
        """
        self._is_still_ours = is_still_ours
        self._lock = threading.Lock()
        self._lost = False
        self._left = False
        self._failure: Failure | None = None

    def fail(self, error: BaseException) -> None:
        """Notes an error that ends the job."""
        with self._lock:
            if isinstance(error, JobLostError):
                self._lost = True
            elif self._failure is None:
                self._failure = failure_of(error)

    def leave(self) -> None:
        """Notes that there is no time for all of the job's seeds."""
        with self._lock:
            self._left = True

    def check_ours(self) -> None:
        """To be called directly before anything is written.

        Raises:
            JobLostError: another process has taken the job over.
        """
        ours = self._is_still_ours()
        with self._lock:
            self._lost |= not ours
            lost = self._lost
        if lost:
            raise JobLostError("another process took it over, since this one was stopped for long")

    @property
    def goes_on(self) -> bool:
        """Whether its next seed should be done."""
        return self.verdict is Verdict.DONE

    @property
    def failure(self) -> Failure | None:
        """The first error, None if there was none."""
        with self._lock:
            return self._failure

    @property
    def verdict(self) -> Verdict:
        """How the job ends as things are."""
        with self._lock:
            if self._lost:
                return Verdict.LOST
            if self._failure is not None:
                return Verdict.FAILED
            return Verdict.LEFT if self._left else Verdict.DONE
