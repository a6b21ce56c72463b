"""Which jobs a batch consists of, kept for `af3opt status`.

Each process writes the plan it was started with under a name that follows from its
content, so that equal ones are one file and nobody overwrites another's.
"""

import contextlib
import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

from af3opt.base.atomic import atomic_write_text, remove_unfinished
from af3opt.base.key import text_digest
from af3opt.execution.planning.plan import PlannedJob
from af3opt.execution.state_directory import STATE_DIRECTORY


@dataclasses.dataclass(frozen=True, slots=True)
class ExpectedJob:
    """A job that a batch was started with.

    Attributes:
        name: Its sanitised name, which is that of its directory.
        tokens: Estimated number of tokens.
        seeds: Number of seeds of the input, at least 1.
    """

    name: str
    tokens: int
    seeds: int


def write_plan(output_dir: Path, plan: Sequence[PlannedJob]) -> None:
    """Keeps a plan; one that cannot be kept is no reason to fail."""
    entries = [[job.sanitised_name, job.tokens, max(1, len(job.seeds))] for job in plan]
    text = json.dumps(entries)
    path = output_dir / STATE_DIRECTORY / "plans" / f"{text_digest(text)}.json"
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        # Whoever is still writing this plan fails for that, unnoticed: we look for it
        # afterwards, and whoever looks last writes the same text.
        remove_unfinished(path)
        if not path.exists():
            atomic_write_text(path, text)


def read_plans(output_dir: Path) -> list[ExpectedJob]:
    """Returns the jobs of all plans of an output directory, each name once, sorted."""
    jobs: dict[str, ExpectedJob] = {}
    for path in (output_dir / STATE_DIRECTORY / "plans").glob("*.json"):
        with contextlib.suppress(OSError, ValueError, TypeError):
            for name, tokens, seeds in json.loads(path.read_text()):
                jobs[name] = ExpectedJob(str(name), int(tokens), int(seeds))
    return [jobs[name] for name in sorted(jobs)]
