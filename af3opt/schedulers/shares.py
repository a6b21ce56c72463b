"""Which fold jobs an array task gets: of one padded size, for about the wanted time."""

import collections
import dataclasses
import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from af3opt.schedulers.search_work import Chain
from af3opt.schedulers.site import Site


@dataclasses.dataclass(kw_only=True)
class FileWork:
    """What an input file costs; its jobs are never divided.

    Attributes:
        path: The file.
        size: Padded size of its largest job.
        inference: Seconds on the device.
        searches: Chain that has to be searched -> seconds.
    """

    path: Path
    size: int
    inference: float = 0.0
    searches: Mapping[Chain, float] = dataclasses.field(default_factory=dict)


class _Share:
    """The files of one task, and what they cost together."""

    def __init__(self) -> None:
        self.paths: list[Path] = []
        self._inference = 0.0
        self._searches: dict[Chain, float] = {}

    def has_room(self, work: FileWork, limits: "_Limits") -> bool:
        """Tells whether a file fits; the first always does."""
        searching = sum({**self._searches, **work.searches}.values())
        return not self.paths or (
            self._inference + work.inference <= limits.inference
            and searching <= limits.searches
            and len(self.paths) < limits.jobs
        )

    def add(self, work: FileWork) -> None:
        """Takes a file; a chain that several of the files have is searched once."""
        self.paths.append(work.path)
        self._inference += work.inference
        self._searches.update(work.searches)


@dataclasses.dataclass(frozen=True)
class _Limits:
    """What one task should get at most: seconds on the device, of searches, and files."""

    inference: float
    searches: float
    jobs: int

    def widened(self, factor: float) -> "_Limits":
        """The limits that lead to fewer tasks."""
        return _Limits(
            self.inference * factor, self.searches * factor, math.ceil(self.jobs * factor)
        )


def share_out(works: Sequence[FileWork], site: Site) -> list[list[Path]]:
    """Divides input files among array tasks.

    Both arrays have the same tasks, so that inference of one share waits for its own
    searches only. A share is full when either its searches or its inference take as
    long as wanted. Files that have a chain in common lie next to each other.

    Args:
        works: The files.
        site: Gives times, number of jobs and number of tasks.

    Returns:
        Input files for each task; no file is in two of them.
    """
    limits = _Limits(
        float(max(1, site.minutes_per_task) * 60),
        float(max(1, site.search_minutes_per_task) * 60),
        max(1, site.max_jobs_per_task),
    )
    by_size = True
    while True:
        shares = list(_fill(works, limits, by_size=by_size))
        if len(shares) <= max(1, site.max_tasks):
            return shares
        limits = limits.widened(1.1 * len(shares) / max(1, site.max_tasks))
        # Fewer tasks than padded sizes: give up keeping these apart.
        by_size = limits.jobs <= len(works)


def _fill(works: Sequence[FileWork], limits: _Limits, *, by_size: bool) -> Iterator[list[Path]]:
    common = _most_common_chain(works)

    def size(work: FileWork) -> int:
        return work.size if by_size else 0

    ordered = sorted(works, key=lambda work: (size(work), common[work.path], work.path))
    for _, group in itertools.groupby(ordered, key=size):
        share = _Share()
        for work in group:
            if not share.has_room(work, limits):
                yield share.paths
                share = _Share()
            share.add(work)
        yield share.paths


def _most_common_chain(works: Iterable[FileWork]) -> dict[Path, str]:
    """File -> the one of its chains that most files have; "" where no other has one."""
    counts = collections.Counter(chain for work in works for chain in work.searches)
    shared = {chain for chain, count in counts.items() if count > 1}
    return {
        work.path: max(
            ((counts[chain], chain.digest) for chain in shared.intersection(work.searches)),
            default=(0, ""),
        )[1]
        for work in works
    }
