"""How each job of a batch ended, and what the batch says at its end."""

import dataclasses
import enum
import json
from collections.abc import Iterable
from pathlib import Path

from af3opt.errors import ExitCode
from af3opt.output.atomic import atomic_write_text

FAILED_FILE = "failed.json"


class Status(enum.StrEnum):
    """How a job ended."""

    DONE = enum.auto()
    ALREADY_DONE = enum.auto()
    FAILED = enum.auto()
    ELSEWHERE = enum.auto()
    LEFT = enum.auto()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """One job's end.

    Attributes:
        name: The job's name.
        path: Its input file.
        status: DONE, ALREADY_DONE (nothing was missing), FAILED, ELSEWHERE (another
            process works on it) or LEFT (there was no time for it).
        reason: Why it failed, else "".
        seeds: Seeds run now.
        seconds: Time spent on it.
    """

    name: str
    path: Path
    status: Status
    reason: str = ""
    seeds: int = 0
    seconds: float = 0.0


def exit_code(outcomes: Iterable[Outcome]) -> ExitCode:
    """OK, SOME_FAILED if any failed, REQUEUE if any was left for lack of time."""
    statuses = {outcome.status for outcome in outcomes}
    if Status.LEFT in statuses:
        return ExitCode.REQUEUE
    return ExitCode.SOME_FAILED if Status.FAILED in statuses else ExitCode.OK


def write_failures(output_dir: Path, outcomes: Iterable[Outcome]) -> None:
    """Writes `failed.json`, or removes one that no longer holds."""
    failed = [
        {"name": outcome.name, "file": str(outcome.path), "reason": outcome.reason}
        for outcome in outcomes
        if outcome.status is Status.FAILED
    ]
    path = output_dir / FAILED_FILE
    if failed:
        atomic_write_text(path, json.dumps(failed, indent=1) + "\n")
    else:
        path.unlink(missing_ok=True)


def summary_lines(outcomes: Iterable[Outcome]) -> list[str]:
    """A table of the batch: jobs that did something or could not, then the counts."""
    rows = list(outcomes)
    width = max((len(row.name) for row in rows), default=0)
    lines = [
        f"{row.name:<{width}}  {row.status:<12}  {row.seeds:>4} seed(s)  {row.seconds:>9.1f} s  "
        f"{row.reason}".rstrip()
        for row in rows
        if row.status is not Status.ALREADY_DONE
    ]
    counts = {status: sum(row.status is status for row in rows) for status in Status}
    lines.append(", ".join(f"{count} {status}" for status, count in counts.items() if count))
    return lines
