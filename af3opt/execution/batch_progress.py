"""How far the jobs of an output directory are, read from plans, journals and claims."""

import dataclasses
import enum
import json
from collections.abc import Sequence
from pathlib import Path

from af3opt.execution.claims.verdicts import Sign, Standing, look_at_claims
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
        reason: Why it failed, who works on it, or what became of who did.
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
    """Looks at every job of an output directory.

    Nothing is written, so the directory may be on a read-only mount. Schedulers are
    asked once for all jobs; where there is none, heartbeats and processes tell.
    """
    failures = {
        sanitised_name(failure["name"]): failure["reason"] for failure in read_failures(output_dir)
    }
    times = ObservedTimes()
    root = jobs_directory(output_dir)
    expected = {job.name: job for job in read_plans(output_dir)}
    if root.is_dir():
        for path in root.iterdir():
            expected.setdefault(path.name, ExpectedJob(path.name, 0, 1))
    standings = look_at_claims([root / name for name in expected])
    jobs = []
    for name in sorted(expected):
        seeds, done = _newest_run(root / name, expected[name], times)
        state, reason = _state(
            standings.get(root / name),
            failure=failures.get(name),
            finished=done >= seeds > 0,
            searched=not done and _is_searched(root / name),
        )
        jobs.append(
            JobProgress(
                name=name,
                state=state,
                tokens=expected[name].tokens,
                seeds=seeds,
                seeds_done=done,
                reason=reason,
            )
        )
    return BatchProgress(jobs, _seconds_left(times, jobs))


def _state(
    standing: Standing | None, *, failure: str | None, finished: bool, searched: bool
) -> tuple[JobState, str]:
    """A job's state, and why it failed, who works on it or who has left it."""
    if standing is not None and standing.verdict.sign is Sign.HELD:
        return JobState.RUNNING, standing.claimed_by
    if failure is not None:
        return JobState.FAILED, failure
    if finished:
        return JobState.DONE, ""
    reason = _why_left(standing) if standing is not None else ""
    return JobState.SEARCHED if searched else JobState.LEFT, reason


def _why_left(standing: Standing) -> str:
    """What became of who worked on a job; "" for one that was let go in order."""
    holder = standing.claim.holder
    if holder is not None and holder.released:
        return ""
    if standing.verdict.sign is Sign.SILENT:
        return f"{standing.verdict.reason} from {standing.claimed_by}"
    return standing.verdict.reason


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
