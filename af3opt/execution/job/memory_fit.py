"""Whether a seed fits into memory, and how it has to be run so that it does."""

import logging
import threading

from af3opt.execution.job.session import Session
from af3opt.memory import JobSize, KnownPrograms, MemoryPlan, plan_memory, room_now

_log = logging.getLogger(__name__)


class UnwrittenResults:
    """Counts the results in memory, for seeds that have to wait until there is none."""

    def __init__(self) -> None:
        self._number = 0
        self._changed = threading.Condition()

    def add(self) -> None:
        """A seed has left the device."""
        with self._changed:
            self._number += 1

    def remove(self) -> None:
        """A result is written, or will never be."""
        with self._changed:
            self._number -= 1
            self._changed.notify_all()

    def wait_for_none(self) -> None:
        """Waits until every result is written."""
        with self._changed:
            self._changed.wait_for(lambda: not self._number)


class MemoryFit:
    """Plans the memory of seeds; one answer and one log line for each padded size."""

    def __init__(self, session: Session, *, seeds_in_flight: int = 1) -> None:
        """Connects what plans need.

        Args:
            session: Settings, machine and model.
            seeds_in_flight: Seeds whose arrays are in memory at once.
        """
        self._session = session
        self._seeds_in_flight = seeds_in_flight
        self._sizes: dict[int, JobSize] = {}

    def size(self, padded_tokens: int) -> JobSize:
        """Returns how many samples to compute together, and seeds to have in memory.

        Args:
            padded_tokens: Size of the input with padding.

        Raises:
            MemoryShortageError: it is certain that the seed does not fit; the text
                has the numbers.
        """
        if padded_tokens not in self._sizes:
            plan = self._plan(padded_tokens)
            if plan.warning:
                _log.warning("%d tokens: %s", padded_tokens, plan.warning)
            self._sizes[padded_tokens] = plan.size
        return self._sizes[padded_tokens]

    def _plan(self, padded_tokens: int) -> MemoryPlan:
        settings, startup = self._session.settings, self._session.startup
        kind = self._session.runner.program_kind
        flash_attention = self._session.backend.flash_attention != "xla"
        unified = bool(settings.unified_memory)
        known = KnownPrograms()
        return plan_memory(
            JobSize(
                tokens=padded_tokens,
                samples=settings.num_diffusion_samples,
                seeds_in_flight=self._seeds_in_flight,
                embeddings=settings.save_embeddings,
                distogram=settings.save_distogram,
            ),
            room_now(startup.host.memory, startup.backend.gpu, unified=unified),
            lambda size: known.need(kind, size, flash_attention=flash_attention),
            can_split_samples=True,
        )
