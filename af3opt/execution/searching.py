"""Searches of this process: the exact scan in front of jackhmmer, where it fits."""

import contextlib
import dataclasses
import logging
import os
from collections.abc import Iterator

from af3opt.base.fidelity import EXACT
from af3opt.engine.patching import PatchSet
from af3opt.execution.interrupt import InterruptGuard
from af3opt.execution.scratch import marked_temporaries
from af3opt.features.featurise import usable_threads
from af3opt.optimizations import ActiveOptimization
from af3opt.search.tool import NAME, ExactSearch, exact_search, why_not_here
from af3opt.search.whole import WHOLE_RESULTS
from af3opt.settings.settings import Settings

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, slots=True)
class Searches:
    """How this process searches.

    Attributes:
        exact: What the exact searches have in common; None where the engine searches in its
            own way.
        considered: What the run record says of it; None where nothing is searched.
    """

    exact: ExactSearch | None = None
    considered: ActiveOptimization | None = None


@contextlib.contextmanager
def faster_searches(settings: Settings) -> Iterator[Searches]:
    """Puts the exact scan in front of the engine's jackhmmer for the length of the block.

    A search that leaves less than it found fails, whether the scan is there or not.

    Args:
        settings: Read for run_data_pipeline and exact_search.
    """
    if not settings.run_data_pipeline:
        yield Searches()
        return
    with PatchSet([WHOLE_RESULTS], None) as checks:
        unchecked = checks.obstacles[WHOLE_RESULTS.name]
        if unchecked is not None:
            _log.warning("Searches: results that were cut off go unnoticed: %s", unchecked)
        with _scan_ahead(settings) as searches:
            yield searches


@contextlib.contextmanager
def _scan_ahead(settings: Settings) -> Iterator[Searches]:
    reason = why_not_here(os.environ) if settings.exact_search else "--noexact_search"
    if reason is not None:
        _log.info("Searches: the engine's own (%s)", reason)
        yield _without(reason)
        return
    searches = ExactSearch.with_threads(usable_threads())
    with exact_search(searches) as patches:
        obstacle = patches.obstacles[NAME]
        if obstacle is not None:
            _log.warning("Searches: %s steps aside: %s", NAME, obstacle)
            yield _without(obstacle)
            return
        _log.info("Searches: %s (%s)", NAME, EXACT)
        yield Searches(searches, ActiveOptimization(NAME, EXACT, active=True))


@contextlib.contextmanager
def searching(settings: Settings, guard: InterruptGuard) -> Iterator[Searches]:
    """As `faster_searches`, for a process that a signal may end: it leaves no files then.

    Args:
        settings: As there.
        guard: Gives searches up at a signal, and removes their temporary files.
    """
    with contextlib.ExitStack() as stack:
        searches = stack.enter_context(faster_searches(settings))
        # At a signal in this order, so that nobody searches on without its files.
        if searches.exact is not None:
            stack.enter_context(guard.at_end(searches.exact.passes.stop))
        if settings.run_data_pipeline:
            stack.enter_context(marked_temporaries(guard))
        yield searches


def _without(reason: str) -> Searches:
    return Searches(None, ActiveOptimization(NAME, EXACT, active=False, reason=reason))
