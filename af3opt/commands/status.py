"""`af3opt status`: how far a batch is."""

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from af3opt.base.command_parser import CommandParser
from af3opt.base.errors import ExitCode, UsageError
from af3opt.base.plain_text import visible
from af3opt.base.standard_streams import write_out

if TYPE_CHECKING:
    from af3opt.execution.batch_progress import BatchProgress, JobState

SUMMARY = "show the jobs of an output directory: done, running, failed or left"

# More lines than this are a file to read, not a status.
_MOST_SHOWN = 20


def main(argv: list[str]) -> int:
    """Runs `af3opt status` and returns the exit code.

    Raises:
        UsageError: the directory does not exist or holds no batch.
    """
    parser = CommandParser(prog="af3opt status", description=SUMMARY)
    parser.add_argument("directory", type=Path, help="output directory of a batch")
    parser.add_argument("--json", action="store_true", help="print everything as JSON")
    arguments = parser.parse_args(argv)
    from af3opt.execution.batch_progress import read_progress
    from af3opt.execution.state_directory import STATE_DIRECTORY

    if not (arguments.directory / STATE_DIRECTORY).is_dir():
        raise UsageError(
            f"af3opt status: {arguments.directory} is not the output directory of a batch"
        )
    progress = read_progress(arguments.directory)
    text = _as_json(progress) if arguments.json else _as_text(progress)
    write_out(visible(text, keep="\n\t"))
    return ExitCode.OK


def _as_json(progress: "BatchProgress") -> str:
    content = {
        "jobs": [dataclasses.asdict(job) for job in progress.jobs],
        "counts": _counts(progress),
        "seconds_left": progress.seconds_left,
    }
    return json.dumps(content, indent=1) + "\n"


def _counts(progress: "BatchProgress") -> dict[str, int]:
    from af3opt.execution.batch_progress import JobState

    return {state.value: progress.count(state) for state in JobState}


def _as_text(progress: "BatchProgress") -> str:
    from af3opt.execution.batch_progress import JobState
    from af3opt.execution.planning.preview import duration_text

    counts = _counts(progress)
    lines = [", ".join(f"{count} {state}" for state, count in counts.items())]
    seeds, done = (
        sum(job.seeds for job in progress.jobs),
        sum(job.seeds_done for job in progress.jobs),
    )
    lines.append(f"{done} of {seeds} seeds")
    if progress.seconds_left:
        text = f"about {duration_text(progress.seconds_left)} of inference left"
        if running := counts[JobState.RUNNING]:
            text += f", {duration_text(progress.seconds_left / running)} with {running} running"
        lines.append(text)
    for state in (JobState.RUNNING, JobState.FAILED, JobState.SEARCHED, JobState.LEFT):
        lines += _job_lines(progress, state)
    return "\n".join(lines) + "\n"


def _job_lines(progress: "BatchProgress", state: "JobState") -> Iterator[str]:
    """Yields a line for each job of a state of which there is something to tell."""
    jobs = [job for job in progress.jobs if job.state is state and job.reason]
    for job in jobs[:_MOST_SHOWN]:
        seeds = f"{job.seeds_done}/{job.seeds}  " if job.seeds else ""
        yield f"{state:<8} {job.name}  {seeds}{job.reason}"
    if len(jobs) > _MOST_SHOWN:
        yield f"{state:<8} and {len(jobs) - _MOST_SHOWN} more (--json lists all)"
