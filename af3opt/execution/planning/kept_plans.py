"""Which jobs a batch consists of, kept for `af3opt status`.

Each process writes the plan it was started with under a name that follows from its
content, so that equal ones are one file and nobody overwrites another's.
"""

import contextlib
import dataclasses
from collections.abc import Sequence
from pathlib import Path

import msgspec

from af3opt.base.atomic import atomic_write_text, remove_unfinished
from af3opt.base.json_files import read_json
from af3opt.base.key import text_digest
from af3opt.execution.planning.plan import PlannedJob
from af3opt.execution.state_directory import STATE_DIRECTORY

# A hundred bytes a job.
_MOST_BYTES = 1_000_000_000


@dataclasses.dataclass(frozen=True, slots=True)
class Source:
    """Where a job is from: what tells jobs of one name apart.

    Attributes:
        path: Its input file.
        position: Its index among the fold jobs of that file.
        first_seed: First seed of the input, None for an input without seeds.
        seeds_digest: Digest of all its seeds; "" in plans of earlier versions.
    """

    path: Path
    position: int
    first_seed: int | None
    # A seed that is added makes no other job of it.
    seeds_digest: str = dataclasses.field(default="", compare=False)


@dataclasses.dataclass(frozen=True, slots=True)
class ExpectedJob:
    """A job that a batch was started with.

    Attributes:
        name: Its sanitised name, which is that of its directory.
        tokens: Estimated number of tokens.
        seeds: Number of seeds of the input, at least 1.
        source: Where it is from; None in plans of earlier versions.
    """

    name: str
    tokens: int
    seeds: int
    source: Source | None = dataclasses.field(default=None, compare=False)


class _Entry(msgspec.Struct, array_like=True, frozen=True):
    """A job of a kept plan; earlier versions wrote the first three values."""

    name: str
    tokens: int
    seeds: int
    path: str | None = None
    position: int = 0
    first_seed: int | None = None
    seeds_digest: str = ""

    @property
    def source(self) -> Source | None:
        """Where the job is from."""
        if not self.path:
            return None
        return Source(Path(self.path), self.position, self.first_seed, self.seeds_digest)


def write_plan(output_dir: Path, plan: Sequence[PlannedJob]) -> None:
    """Keeps a plan; one that cannot be kept is no reason to fail."""
    entries = [
        _Entry(
            job.sanitised_name,
            job.tokens,
            max(1, len(job.seeds)),
            str(job.path.absolute()),
            job.position,
            next(iter(job.seeds), None),
            text_digest(repr(job.seeds)),
        )
        for job in plan
    ]
    text = msgspec.json.encode(entries).decode()
    path = output_dir / STATE_DIRECTORY / "plans" / f"{text_digest(text)}.json"
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        # Whoever is still writing this plan fails for that, unnoticed: we look for it
        # afterwards, and whoever looks last writes the same text.
        remove_unfinished(path)
        if not path.exists():
            atomic_write_text(path, text)


def _modified(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


def read_plans(output_dir: Path) -> list[ExpectedJob]:
    """Returns the jobs of all plans of an output directory, each once, sorted by name.

    What the newest plan says of a job counts.
    """
    jobs: dict[tuple[str, Source | None], ExpectedJob] = {}
    for path in sorted((output_dir / STATE_DIRECTORY / "plans").glob("*.json"), key=_modified):
        for entry in read_json(path, list[_Entry], most_bytes=_MOST_BYTES) or ():
            job = ExpectedJob(entry.name, entry.tokens, entry.seeds, entry.source)
            jobs[job.name, job.source] = job
    named = {name for name, source in jobs if source is not None}
    # Of an earlier version's plan, jobs that a newer plan tells more of are left out.
    told = [job for job in jobs.values() if job.source is not None or job.name not in named]
    return sorted(told, key=lambda job: (job.name, str(job.source)))
