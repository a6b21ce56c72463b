"""What dead workers held: a job is tried once more, and then given up.

Other workers leave the claims of a dead one alone until the pool has waited for its
process (see `try_claim`). So the pool counts a death before the job can be tried again,
however slow the pool is.
"""

import contextlib
import os
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from af3opt.execution.claims.claim import Claim, holders, try_claim
from af3opt.execution.claims.holder import is_running, this_machine
from af3opt.execution.outcomes import Outcome, Status, note_outcome, outcome_of
from af3opt.execution.planning.plan import PlannedJob
from af3opt.execution.state_directory import jobs_directory

# A job is tried this often when its worker dies.
MOST_CRASHES = 2


class Crashes:
    """The jobs of a plan whose workers died."""

    def __init__(
        self, output: Path, plan: Sequence[PlannedJob], add_outcome: Callable[[Outcome], None]
    ) -> None:
        """Begins without any.

        Args:
            output: Directory of the job directories.
            plan: The jobs.
            add_outcome: Is told of each job that is given up.
        """
        self._output = output
        self._plan = plan
        self._add_outcome = add_outcome
        self._count: Counter[str] = Counter()
        self._given_up: dict[str, Claim] = {}

    def add(self, process_id: int, cause: str) -> bool:
        """Counts a dead worker against the jobs that it held.

        Args:
            process_id: The worker, which has not been waited for.
            cause: How it died.

        Returns:
            Whether it held any.
        """
        held = [planned for planned in self._plan if self._is_held(planned, process_id)]
        # Jobs of one name have one claim, which does not tell which of them it was.
        for name in {planned.sanitised_name for planned in held}:
            self._count[name] += 1
            if self._count[name] >= MOST_CRASHES and name not in self._given_up:
                self._give_up(name, [job for job in held if job.sanitised_name == name], cause)
        return bool(held)

    def release(self) -> None:
        """Lets the jobs that were given up go, for a later run."""
        for claim in self._given_up.values():
            claim.release()

    def _give_up(self, name: str, jobs: Sequence[PlannedJob], cause: str) -> None:
        """Ends jobs as failed; held by the pool itself, no worker takes them again."""
        claim = try_claim(jobs_directory(self._output) / name)
        if claim is None:
            return  # A process outside the pool has taken it, and says how it ends.
        self._given_up[name] = claim
        for planned in jobs:
            reason = f"its worker died {MOST_CRASHES} times ({cause})"
            outcome = outcome_of(planned, Status.FAILED, reason)
            with contextlib.suppress(OSError):
                note_outcome(self._output, outcome)
            self._add_outcome(outcome)

    def _is_held(self, planned: PlannedJob, process_id: int) -> bool:
        """Whether a worker held a job; a process outside the pool may hold it by now."""
        machine, pool = this_machine(), os.getpid()
        return any(
            (holder.machine, holder.process_id) == (machine, process_id)
            and not holder.released
            and is_running(holder, pool=pool)
            for holder in holders(jobs_directory(self._output) / planned.sanitised_name)
        )
