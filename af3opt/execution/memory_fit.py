"""Whether a seed fits into memory, and how it has to be run so that it does."""

import logging

from af3opt.execution.session import Session
from af3opt.memory import JobSize, KnownPrograms, plan_memory, room_now

_log = logging.getLogger(__name__)


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
        self._samples: dict[int, int] = {}

    def samples_at_once(self, padded_tokens: int) -> int:
        """Returns how many diffusion samples to compute together.

        Args:
            padded_tokens: Size of the input with padding.

        Raises:
            MemoryShortageError: it is certain that the seed does not fit; the text
                has the numbers.
        """
        if padded_tokens not in self._samples:
            self._samples[padded_tokens] = self._plan(padded_tokens)
        return self._samples[padded_tokens]

    def _plan(self, padded_tokens: int) -> int:
        settings, startup = self._session.settings, self._session.startup
        kind = self._session.runner.program_kind
        flash_attention = self._session.backend.flash_attention != "xla"
        known = KnownPrograms()
        plan = plan_memory(
            JobSize(
                tokens=padded_tokens,
                samples=settings.num_diffusion_samples,
                seeds_in_flight=self._seeds_in_flight,
                embeddings=settings.save_embeddings,
                distogram=settings.save_distogram,
            ),
            room_now(startup.host.memory, startup.backend.gpu, unified=settings.unified_memory),
            lambda size: known.need(kind, size, flash_attention=flash_attention),
            can_split_samples=True,
        )
        if plan.warning:
            _log.warning("%d tokens: %s", padded_tokens, plan.warning)
        return plan.size.samples
