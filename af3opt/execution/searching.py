"""Searches of this process: the exact scan in front of jackhmmer, where it fits."""

import contextlib
import logging
import os
from collections.abc import Iterator

from af3opt.features.featurise import usable_threads
from af3opt.search.tool import NAME, ExactSearch, exact_search, why_not_here
from af3opt.settings.settings import Settings

_log = logging.getLogger(__name__)


@contextlib.contextmanager
def faster_searches(settings: Settings) -> Iterator[ExactSearch | None]:
    """Puts the exact scan in front of the engine's jackhmmer for the length of the block.

    Args:
        settings: Read for run_data_pipeline and exact_search.

    Yields:
        What the searches have in common; None where the engine searches in its own way.
    """
    if not settings.run_data_pipeline:
        yield None
        return
    if not settings.exact_search:
        _log.info("Searches: the engine's own (--noexact_search)")
        yield None
        return
    reason = why_not_here(os.environ)
    if reason is not None:
        _log.info("Searches: the engine's own; %s", reason)
        yield None
        return
    searches = ExactSearch.with_threads(usable_threads())
    with exact_search(searches) as patches:
        obstacle = patches.obstacles[NAME]
        if obstacle is None:
            _log.info("Searches: %s (exact)", NAME)
            yield searches
        else:
            _log.warning("Searches: %s steps aside: %s", NAME, obstacle)
            yield None
