"""How each job of a batch ended, and what the batch says at its end."""

import contextlib
import dataclasses
import enum
from collections.abc import Iterable
from pathlib import Path
from typing import NotRequired, Protocol, TypedDict

from af3opt.base.atomic import atomic_write_bytes
from af3opt.base.errors import ExitCode
from af3opt.base.json_files import read_json, to_json
from af3opt.base.key import text_digest
from af3opt.execution.failure import Failure
from af3opt.execution.state_directory import FAILED_FILE, STATE_DIRECTORY
from af3opt.output.checked_files import UNCHECKED, CheckedFiles

_MOST_BYTES = 1_000_000
_MOST_SHOWN = 100


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


class _Planned(Protocol):
    """What tells a job of a plan from others."""

    @property
    def name(self) -> str: ...
    @property
    def path(self) -> Path: ...
    @property
    def position(self) -> int: ...


def outcome_of(
    planned: _Planned, status: Status, reason: str = "", *, seeds: int = 0, seconds: float = 0.0
) -> Outcome:
    """How a job of a plan ended; see `Outcome`."""
    return Outcome(
        name=planned.name,
        path=planned.path,
        position=planned.position,
        status=status,
        reason=reason,
        seeds=seeds,
        seconds=round(seconds, 3),
    )


class FailureNote(TypedDict):
    """A job that failed, as in `failed.json`; `traceback` names a file where there is one."""

    name: str
    file: str
    reason: str
    traceback: NotRequired[str]


def exit_code(outcomes: Iterable[Outcome]) -> ExitCode:
    """OK if all is done; SOME_FAILED; REQUEUE if any was left, or is held by others."""
    statuses = {outcome.status for outcome in outcomes}
    if statuses & {Status.LEFT, Status.ELSEWHERE}:
        return ExitCode.REQUEUE
    return ExitCode.SOME_FAILED if Status.FAILED in statuses else ExitCode.OK


def write_failures(output_dir: Path, outcomes: Iterable[Outcome]) -> None:
    """Brings `failed.json` up to date with how these jobs ended.

    Raises:
        OSError: the output directory cannot be written.
    """
    for outcome in outcomes:
        note_outcome(output_dir, outcome)
    write_table(output_dir)


def note_outcome(
    output_dir: Path,
    outcome: Outcome,
    failure: Failure | None = None,
    files: CheckedFiles = UNCHECKED,
) -> None:
    """Notes that a job has failed, or forgets that it had.

    To be called while the job's claim is held: what is noted last is what happened last.

    Args:
        output_dir: Directory of the job directories.
        outcome: How the job ended.
        failure: Gives the traceback, where there is one.
        files: Writes, as long as the job is this process's.

    Raises:
        OSError: it cannot be written.
    """
    files.check()
    directory = failures_directory(output_dir)
    digest = text_digest(f"{outcome.path.absolute()}#{outcome.position}")
    note, details = directory / f"{digest}.json", directory / _details_name(outcome.name, digest)
    if outcome.status is Status.FAILED:
        directory.mkdir(parents=True, exist_ok=True)
        content: FailureNote = {
            "name": outcome.name,
            "file": str(outcome.path),
            "reason": outcome.reason,
        }
        if failure is not None and failure.traceback:
            files.text(details, _printable(failure.traceback))
            content["traceback"] = details.relative_to(output_dir).as_posix()
        files.text(note, to_json(content).decode())
    elif outcome.status in (Status.DONE, Status.ALREADY_DONE):
        note.unlink(missing_ok=True)
        details.unlink(missing_ok=True)


def write_table(output_dir: Path) -> None:
    """Makes `failed.json` from the notes of single jobs.

    Several processes may share the directory, so this is repeated until no other one has
    added a note meanwhile.

    Raises:
        OSError: it cannot be written.
    """
    while True:
        failed = read_failures(output_dir)
        table = output_dir / FAILED_FILE
        if failed:
            atomic_write_bytes(table, to_json(failed))
        else:
            table.unlink(missing_ok=True)
        if read_failures(output_dir) == failed:
            return


def failures_directory(output_dir: Path) -> Path:
    """Where the failures of single jobs are noted."""
    return output_dir / STATE_DIRECTORY / "failed"


def read_failures(output_dir: Path) -> list[FailureNote]:
    """Returns all noted failures, as name, file, reason and perhaps traceback, sorted by name.

    What is damaged, or was not written by af3opt, is left out.
    """
    failures = []
    with contextlib.suppress(FileNotFoundError):
        for path in failures_directory(output_dir).glob("*.json"):
            note = read_json(path, FailureNote, most_bytes=_MOST_BYTES)
            if note is not None:
                failures.append(note)
    return sorted(failures, key=lambda failure: (failure["name"], failure["file"]))


def _details_name(name: str, digest: str) -> str:
    """A name that shows the job's, and that no two jobs share."""
    shown = "".join(letter if letter.isalnum() or letter in "-_" else "_" for letter in name)
    return f"{shown.encode('ascii', 'ignore').decode()[:_MOST_SHOWN]}-{digest}.txt"


def _printable(text: str) -> str:
    """Text without what a terminal would obey."""
    return "".join(
        letter if letter.isprintable() or letter in "\n\t" else ascii(letter)[1:-1]
        for letter in text
    )


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
