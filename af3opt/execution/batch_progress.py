"""How far the jobs of an output directory are, read from plans, journals and claims."""

import dataclasses
import enum
import json
from collections.abc import Sequence
from pathlib import Path

from af3opt.execution.claims.claim import current_holder
from af3opt.execution.job.journal import read_seed_record
from af3opt.execution.outcomes import read_failures
from af3opt.execution.planning.kept_plans import ExpectedJob, read_plans
from af3opt.execution.planning.observed_times import ObservedTimes
from af3opt.execution.planning.plan import sanitised_name
from af3opt.execution.state_directory import jobs_directory


class JobState(enum.StrEnum):
    """How far a job is."""

    DONE = enum.auto()
    SEARCHED = enum.auto()
    RUNNING = enum.auto()
    FAILED = enum.auto()
    LEFT = enum.auto()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class JobProgress:
    """One job.

    Attributes:
        name: Its sanitised name.
        state: How far it is; SEARCHED has its MSAs and templates and no seed yet.
        tokens: Estimated number of tokens.
        seeds: Seeds it should have.
        seeds_done: Seeds that are finished.
        reason: Why it failed, or who works on it.
    """

    name: str
    state: JobState
    tokens: int
    seeds: int
    seeds_done: int
    reason: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class BatchProgress:
    """All jobs, and how much is left.

    Attributes:
        jobs: The jobs by name.
        seconds_left: Device time for the seeds that are missing, None when unknown.
    """

    jobs: Sequence[JobProgress]
    seconds_left: float | None

    def count(self, state: JobState) -> int:
        """Number of jobs in a state."""
        return sum(job.state is state for job in self.jobs)


def read_progress(output_dir: Path) -> BatchProgress:
    """Looks at every job of an output directory."""
    failures = {
        sanitised_name(failure["name"]): failure["reason"] for failure in read_failures(output_dir)
    }
    times = ObservedTimes()
    root = jobs_directory(output_dir)
    expected = {job.name: job for job in read_plans(output_dir)}
    if root.is_dir():
        for path in root.iterdir():
            expected.setdefault(path.name, ExpectedJob(path.name, 0, 1))
    jobs = [
        _job_progress(root / name, expected[name], failures, times) for name in sorted(expected)
    ]
    return BatchProgress(jobs, _seconds_left(times, jobs))


def _job_progress(
    directory: Path, expected: ExpectedJob, failures: dict[str, str], times: ObservedTimes
) -> JobProgress:
    seeds, done = _newest_run(directory, expected, times)
    holder = current_holder(directory) if directory.is_dir() else None
    reason = ""
    if holder is not None:
        state = JobState.RUNNING
        reason = f"process {holder.process_id} on {holder.host}"
        if holder.slurm_job:
            reason = f"Slurm job {holder.slurm_job} on {holder.host}"
    elif expected.name in failures:
        state, reason = JobState.FAILED, failures[expected.name]
    elif done and done >= seeds:
        state = JobState.DONE
    elif not done and _is_searched(directory):
        state = JobState.SEARCHED
    else:
        state = JobState.LEFT
    return JobProgress(
        name=expected.name,
        state=state,
        tokens=expected.tokens,
        seeds=seeds,
        seeds_done=done,
        reason=reason,
    )


def _newest_run(directory: Path, expected: ExpectedJob, times: ObservedTimes) -> tuple[int, int]:
    """Wanted and finished seeds of the job's latest run."""
    runs = sorted(directory.glob("*/run.json"), key=lambda path: path.stat().st_mtime)
    if not runs:
        return expected.seeds, 0
    try:
        wanted = set(map(int, json.loads(runs[-1].read_text())["seeds"]))
    except (OSError, ValueError, KeyError, TypeError):
        return expected.seeds, 0
    records = [read_seed_record(path) for path in runs[-1].parent.glob("seed-*.json")]
    finished = [record for record in records if record is not None and record.seed in wanted]
    if finished:
        times.learn(expected.tokens, [record.seconds for record in finished])
    return len(wanted), len(finished)


def _is_searched(directory: Path) -> bool:
    for path in directory.glob("data-*.json"):
        try:
            if json.loads(path.read_text()).get("done"):
                return True
        except (OSError, ValueError, AttributeError):
            continue
    return False


def _seconds_left(times: ObservedTimes, jobs: Sequence[JobProgress]) -> float | None:
    """What the finished seeds of this batch say about the others."""
    if not times.seeds:
        return None
    return sum(
        (job.seeds - job.seeds_done) * (times.estimate(job.tokens) or 0.0)
        for job in jobs
        if job.state is not JobState.FAILED
    )
