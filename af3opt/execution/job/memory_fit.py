"""Whether a seed fits into memory, and how it has to be run so that it does."""

import dataclasses
import logging
import threading

from af3opt.execution.job.session import Session
from af3opt.features.engine_features import Batch
from af3opt.inference.model_runner import ModelRunner
from af3opt.memory import JobSize, KnownPrograms, Program, plan_memory, room_now
from af3opt.memory.plan import program_room

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


@dataclasses.dataclass(frozen=True, slots=True)
class _Planned:
    """How seeds of one program are run, and the room that was left to it."""

    size: JobSize
    room_bytes: int
    unified: bool


class MemoryFit:
    """Plans the memory of seeds; one answer and one log line for each program."""

    def __init__(
        self, session: Session, runner: ModelRunner | None, *, seeds_in_flight: int = 1
    ) -> None:
        """Connects what plans need.

        Args:
            session: Settings and machine.
            runner: The model; None where no seed is to be run.
            seeds_in_flight: Seeds whose arrays are in memory at once.
        """
        self._session = session
        self._runner = runner
        self._seeds_in_flight = seeds_in_flight
        self._planned: dict[Program, _Planned] = {}

    def size(self, batch: Batch) -> JobSize:
        """Returns how many samples to compute together, and seeds to have in memory.

        Args:
            batch: Features of a seed, padded.

        Raises:
            MemoryShortageError: it is certain that the seed does not fit; the text
                has the numbers.
        """
        assert self._runner is not None
        program = self._runner.program(batch)
        if program not in self._planned:
            self._planned[program] = self._plan(program, int(batch["token_index"].shape[0]))
        return self._planned[program].size

    def ran(self, batch: Batch) -> None:
        """Notes that a seed of these features was computed in the room that there was."""
        assert self._runner is not None
        program = self._runner.program(batch)
        planned = self._planned.get(program)
        # What spilt to host memory says nothing of the device's.
        if planned is not None and not planned.unified:
            KnownPrograms().ran(program, planned.size, planned.room_bytes)

    def _plan(self, program: Program, padded_tokens: int) -> _Planned:
        settings, startup = self._session.settings, self._session.startup
        unified = bool(settings.unified_memory)
        known = KnownPrograms()
        room = room_now(startup.host.memory, startup.backend.gpu, unified=unified)
        plan = plan_memory(
            JobSize(
                tokens=padded_tokens,
                samples=settings.num_diffusion_samples,
                seeds_in_flight=self._seeds_in_flight,
                embeddings=settings.save_embeddings,
                distogram=settings.save_distogram,
            ),
            room,
            lambda size: known.need(program, size),
            can_split_samples=True,
            force=settings.force_memory,
        )
        if plan.warning:
            _log.warning("%d tokens: %s", padded_tokens, plan.warning)
        return _Planned(plan.size, program_room(plan.size, room), unified)
