"""How far the jobs of an output directory are, read from plans, journals and claims."""

import contextlib
import dataclasses
import enum
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from af3opt.execution.claims.verdicts import Sign, Standing, look_at_claims
from af3opt.execution.job.journal import JobJournal
from af3opt.execution.job.state_files import RunFile, read_run_file, source_digest
from af3opt.execution.outcomes import FailureNote, read_failures
from af3opt.execution.planning.kept_plans import ExpectedJob, Source, read_plans
from af3opt.execution.planning.observed_times import ObservedTimes
from af3opt.execution.state_directory import jobs_directory
from af3opt.inputs.digest import input_digest
from af3opt.inputs.names import sanitised_name

# Why a job is left though all of its seeds are done.
_INCOMPLETE = "files of the job as a whole are missing; the same run makes them again"


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
        seeds: Seeds it should have; 0 if its input could not be read.
        seeds_done: Seeds that are finished.
        reason: Why it failed, who works on it, or what became of who did.
        path: Its input file, "" if the plan does not tell.
    """

    name: str
    state: JobState
    tokens: int
    seeds: int
    seeds_done: int
    reason: str = ""
    path: str = ""


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

    Journals tell what was done; a job is done only while its files are there, too, as large as
    they were. Nothing is written, so the directory may be on a read-only mount. Schedulers are
    asked once for all jobs; where there is none, heartbeats and processes tell.
    """
    root = jobs_directory(output_dir)
    expected: dict[str, list[ExpectedJob]] = {}
    for job in read_plans(output_dir):
        expected.setdefault(job.name, []).append(job)
    if root.is_dir():
        for path in root.iterdir():
            expected.setdefault(path.name, [ExpectedJob(path.name, 0, 1)])
    failures: dict[str, list[FailureNote]] = {}
    for failure in read_failures(output_dir):
        failures.setdefault(sanitised_name(failure["name"]), []).append(failure)
    standings = look_at_claims([root / name for name in expected])
    times = ObservedTimes()
    jobs = [
        progress
        for name in sorted(expected)
        for progress in _jobs_of_name(
            JobJournal(output_dir, name),
            expected[name],
            standings.get(root / name),
            failures.get(name, ()),
            times,
        )
    ]
    jobs += [
        _never_planned(failure, name)
        for name, notes in failures.items()
        for failure in notes
        if not any(_is_of(failure, job.source) for job in expected.get(name, ()))
    ]
    jobs.sort(key=lambda job: job.name)
    return BatchProgress(jobs, _seconds_left(times, jobs))


def _never_planned(failure: FailureNote, name: str) -> JobProgress:
    """An input that could not be read, or was refused: no plan and no journal has it."""
    return JobProgress(
        name=name,
        state=JobState.FAILED,
        tokens=0,
        seeds=0,
        seeds_done=0,
        reason=failure["reason"],
        path=failure["file"],
    )


def _jobs_of_name(
    journal: JobJournal,
    expected: Sequence[ExpectedJob],
    standing: Standing | None,
    failures: Sequence[FailureNote],
    times: ObservedTimes,
) -> Iterator[JobProgress]:
    """Yields how far the jobs of one name are; they share journal and claim."""
    alone = len(expected) == 1
    jobs = [(expected[0], None)] if alone else list(_told_apart(expected))
    sources = {_source_digest(job) for job, _ in jobs}
    for job, digest in jobs:
        others = sources - {_source_digest(job), ""}
        seeds, done, complete = _newest_run(journal, job, digest, others, times)
        state, reason = _state(
            standing,
            failure=_failure(failures, None if alone else job.source),
            # Who holds the claim works on one of them: not on what is finished.
            finished=complete,
            held_means_running=alone or done < seeds,
            searched=not done and _is_searched(journal, digest),
        )
        if state is JobState.LEFT and not reason and done >= seeds > 0:
            reason = _INCOMPLETE
        if state is JobState.RUNNING:
            standing = None if not alone else standing
        yield JobProgress(
            name=job.name,
            state=state,
            tokens=job.tokens,
            seeds=seeds,
            seeds_done=done,
            reason=reason,
            path="" if job.source is None else str(job.source.path),
        )


def _told_apart(jobs: Sequence[ExpectedJob]) -> Iterator[tuple[ExpectedJob, str | None]]:
    """Yields jobs of one name with the digests of their inputs; equal ones are one job.

    An input that is gone has no digest, and so no run that could be its own.
    """
    seen = set()
    for job in jobs:
        digest, seeds = "", None
        if job.source is not None:
            seeds = (job.source.first_seed, job.source.seeds_digest)
            with contextlib.suppress(OSError, ValueError, LookupError, AttributeError):
                digest = input_digest(job.source.path, job.source.position)
        if not digest or (digest, seeds) not in seen:
            seen.add((digest, seeds))
            yield job, digest


def _failure(failures: Sequence[FailureNote], source: Source | None) -> str | None:
    """Why a job failed, None if it did not; without its source any failure is its own."""
    return next((failure["reason"] for failure in failures if _is_of(failure, source)), None)


def _is_of(failure: FailureNote, source: Source | None) -> bool:
    """Whether a failure is of the input of a source; of a job without one it may be."""
    return source is None or Path(failure["file"]).absolute() == source.path


def _state(
    standing: Standing | None,
    *,
    failure: str | None,
    finished: bool,
    held_means_running: bool,
    searched: bool,
) -> tuple[JobState, str]:
    """A job's state, and why it failed, who works on it or who has left it."""
    held = standing is not None and standing.verdict.sign is Sign.HELD
    if standing is not None and held and held_means_running:
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


def _newest_run(
    journal: JobJournal,
    job: ExpectedJob,
    digest: str | None,
    others: Collection[str],
    times: ObservedTimes,
) -> tuple[int, int, bool]:
    """Wanted and finished seeds of the job's latest run, and whether nothing is left to do.

    Args:
        journal: The journal of all jobs of this name.
        job: The job.
        digest: Digest of its input; None if all runs are its own.
        others: Sources of other jobs of this name, which may have equal content.
        times: Learns how long the seeds took.
    """
    runs = []
    for path in journal.directory.glob("*/run.json"):
        run = read_run_file(path)
        if run is not None and run.source not in others and _is_run_of(run, job, digest):
            runs.append((path.stat().st_mtime, path.parent.name, run))
    if not runs:
        return job.seeds, 0, False
    _, name, run = max(runs, key=lambda one: one[:2])
    noted = journal.run_called(name)
    directory = noted.directory_in_use()
    if directory is None:
        return len(run.seeds), 0, False
    finished = list(noted.finished_seeds(run.seeds, directory).values())
    if finished:
        times.learn(job.tokens, [record.seconds for record in finished])
    complete = len(finished) == len(run.seeds) and noted.is_complete(directory, finished)
    return len(run.seeds), len(finished), complete


def _source_digest(job: ExpectedJob) -> str:
    """As run journals name where a job is from; "" where the plan does not tell."""
    return source_digest(job.source.path, job.source.position) if job.source is not None else ""


def _is_run_of(run: RunFile, job: ExpectedJob, digest: str | None) -> bool:
    if digest is None:
        return True
    if run.parts.get("input") != digest:
        return False
    first = job.source.first_seed if job.source is not None else None
    return first is None or run.parts.get("first_seed") == first


def _is_searched(journal: JobJournal, digest: str | None) -> bool:
    wanted = {} if digest is None else {"input": digest}
    return any(record.has_its_size() for record in journal.data.matching(wanted))


def _seconds_left(times: ObservedTimes, jobs: Sequence[JobProgress]) -> float | None:
    """What the finished seeds of this batch say about the others."""
    if not times.seeds:
        return None
    return sum(
        (job.seeds - job.seeds_done) * (times.estimate(job.tokens) or 0.0)
        for job in jobs
        if job.state is not JobState.FAILED
    )
