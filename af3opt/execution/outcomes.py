"""How each job of a batch ended, and what the batch says at its end."""

import contextlib
import dataclasses
import enum
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from af3opt.base.atomic import atomic_write_text
from af3opt.base.errors import ExitCode
from af3opt.base.key import text_digest
from af3opt.execution.state_directory import STATE_DIRECTORY

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
        position: Its index among the jobs of that file.
        status: DONE, ALREADY_DONE (nothing was missing), FAILED, ELSEWHERE (another
            process works on it) or LEFT (there was no time for it).
        reason: Why it failed, else "".
        seeds: Seeds run now.
        seconds: Time spent on it.
    """

    name: str
    path: Path
    position: int = 0
    status: Status
    reason: str = ""
    seeds: int = 0
    seconds: float = 0.0

    @property
    def job(self) -> tuple[Path, int]:
        """What tells one job from another."""
        return self.path, self.position

    def as_json(self) -> dict[str, Any]:
        """The outcome as JSON values."""
        return dataclasses.asdict(self) | {"path": str(self.path)}


def outcome_from_json(content: Mapping[str, Any]) -> Outcome:
    """Reads what `Outcome.as_json` wrote."""
    values = {**content, "path": Path(content["path"]), "status": Status(content["status"])}
    return Outcome(**values)


def exit_code(outcomes: Iterable[Outcome]) -> ExitCode:
    """OK, SOME_FAILED if any failed, REQUEUE if any was left for lack of time."""
    statuses = {outcome.status for outcome in outcomes}
    if Status.LEFT in statuses:
        return ExitCode.REQUEUE
    return ExitCode.SOME_FAILED if Status.FAILED in statuses else ExitCode.OK


def write_failures(output_dir: Path, outcomes: Iterable[Outcome]) -> None:
    """Brings `failed.json` up to date with how these jobs ended.

    Several processes may share the directory, so each failure has a file of its own
    and the table is made from all of them, until no other process has added one
    meanwhile.
    """
    directory = failures_directory(output_dir)
    for outcome in outcomes:
        path = directory / f"{text_digest(f'{outcome.path}#{outcome.position}')}.json"
        if outcome.status is Status.FAILED:
            directory.mkdir(parents=True, exist_ok=True)
            content = {
                "name": outcome.name,
                "file": str(outcome.path),
                "reason": outcome.reason,
            }
            atomic_write_text(path, json.dumps(content))
        elif outcome.status in (Status.DONE, Status.ALREADY_DONE):
            path.unlink(missing_ok=True)
    while True:
        failed = read_failures(output_dir)
        table = output_dir / FAILED_FILE
        if failed:
            atomic_write_text(table, json.dumps(failed, indent=1) + "\n")
        else:
            table.unlink(missing_ok=True)
        if read_failures(output_dir) == failed:
            return


def failures_directory(output_dir: Path) -> Path:
    """Where the failures of single jobs are noted."""
    return output_dir / STATE_DIRECTORY / "failed"


def read_failures(output_dir: Path) -> list[dict[str, str]]:
    """Returns all noted failures, as name, file and reason, sorted by name."""
    failures = []
    with contextlib.suppress(FileNotFoundError):
        for path in failures_directory(output_dir).glob("*.json"):
            with contextlib.suppress(OSError, ValueError):
                failures.append(json.loads(path.read_text()))
    return sorted(failures, key=lambda failure: (failure["name"], failure["file"]))


def summary_lines(outcomes: Iterable[Outcome]) -> list[str]:
    """A table of the batch: jobs that did something or could not, then the counts."""
    rows = list(outcomes)
    shown = [row for row in rows if row.status is not Status.ALREADY_DONE]
    width = max((len(row.name) for row in shown), default=0)
    lines = [
        f"{row.name:<{width}}  {row.status:<12}  {row.seeds:>4} seed(s)  {row.seconds:>9.1f} s  "
        f"{row.reason}".rstrip()
        for row in shown
    ]
    counts = {status: sum(row.status is status for row in rows) for status in Status}
    lines.append(", ".join(f"{count} {status}" for status, count in counts.items() if count))
    return lines
