"""The first stage of a job: it is this process's, or somebody else's."""

import contextlib
import dataclasses
import functools
import shutil
from pathlib import Path

from af3opt.base.atomic import is_temporary
from af3opt.base.errors import Af3optError, InputError
from af3opt.execution.claims.claim import Claim, current_holder, keep_alive, try_claim
from af3opt.execution.claims.holder import Holder, this_process
from af3opt.execution.interrupt import InterruptGuard, remove_temporaries
from af3opt.execution.job.fate import JobFate
from af3opt.execution.job.journal import JobJournal
from af3opt.execution.job.session import Session
from af3opt.execution.job.state_files import source_digest
from af3opt.execution.planning.plan import PlannedJob
from af3opt.execution.state_directory import FAILED_FILE, STATE_DIRECTORY
from af3opt.inputs.checking import check_job
from af3opt.inputs.findings import shown
from af3opt.inputs.names import is_sample_name, longest_name
from af3opt.output.checked_files import UNCHECKED, CheckedFiles
from af3opt.report.writing import BATCH_PAGE
from af3opt.settings.settings import Settings

# What a job's name must not be, since its directory would have that name: the output
# directory itself, the one above, and what af3opt keeps beside the jobs.
_TAKEN_NAMES = frozenset({".", "..", STATE_DIRECTORY, FAILED_FILE, BATCH_PAGE})


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ClaimedJob:
    """A job that this process holds, of which nothing has been read.

    Attributes:
        planned: What the plan says of it.
        journal: Its journal, None without resume.
        fate: How it will end.
        files: Writes its files, as long as it is this process's.
        resources: Closed when the job ends: lets the claim go.
    """

    planned: PlannedJob
    journal: JobJournal | None
    fate: JobFate
    files: CheckedFiles
    resources: contextlib.ExitStack


class JobHeldError(Af3optError):
    """Another process works on the job."""

    def __init__(self, holder: Holder | None) -> None:
        super().__init__(
            f"process {holder.process_id} on {holder.host}" if holder else "another process"
        )
        self.by_this_process = holder is not None and holder.is_same_process(this_process())


def job_journal(
    session: Session, planned: PlannedJob, files: CheckedFiles = UNCHECKED
) -> JobJournal:
    """The journal of a job; nothing is written yet."""
    source = source_digest(planned.path, planned.position)
    return JobJournal(session.output_dir, planned.sanitised_name, source, files)


def claim_job(session: Session, guard: InterruptGuard, planned: PlannedJob) -> ClaimedJob:
    """Takes a job for this process; removes what a killed holder left half-written.

    Args:
        session: What all jobs share.
        guard: Told what to clean and to let go at a signal.
        planned: The job.

    Raises:
        JobHeldError: another process works on it.
        OSError: the output directory cannot be written.
    """
    with contextlib.ExitStack() as resources:
        if not session.settings.resume:
            fate = JobFate()
            journal = None
        else:
            directory = job_journal(session, planned).directory
            claim = try_claim(directory, pool=session.pool)
            if claim is None:
                raise JobHeldError(current_holder(directory))
            resources.enter_context(guard.at_end(claim.release))
            resources.enter_context(keep_alive(claim))
            clean_at_end(resources, guard, directory)
            remove_stale_temporaries(directory, claim)
            fate = JobFate(claim.is_current)
            journal = job_journal(session, planned, CheckedFiles(fate.check_ours))
        return ClaimedJob(
            planned=planned,
            journal=journal,
            fate=fate,
            files=CheckedFiles(fate.check_ours),
            resources=resources.pop_all(),
        )


def check_name(planned: PlannedJob, settings: Settings) -> None:
    """Finds out whether a directory and files can have the job's name.

    Args:
        planned: The job.
        settings: Give numbers of seeds and samples, which are part of file names.

    Raises:
        InputError: they cannot.
    """
    name, samples = planned.sanitised_name, settings.num_diffusion_samples
    most = longest_name(max(planned.seeds, default=0) + (settings.num_seeds or 0), samples)
    if not name or len(name) > most:
        check_job(planned.path, planned.position)  # Says it, or what is wrong with the file.
        raise InputError(
            f"{planned.path}: the name {shown(planned.name)} is too long for the files of "
            f"{samples} samples; give at most {most} characters"
        )
    if name in _TAKEN_NAMES:
        raise InputError(
            f"{planned.path}: the name {planned.name!r} cannot be a job's, whose results go to "
            "a directory of that name; give it another"
        )
    if settings.json_path is None and is_sample_name(name):
        raise InputError(
            f"{planned.path}: the name {planned.name!r} is that of a sample's directory, and other "
            "programs could not tell the job from a sample; give it another, or run it alone by "
            "--json_path"
        )


def clean_at_end(resources: contextlib.ExitStack, guard: InterruptGuard, directory: Path) -> None:
    """Leaves nothing half-written in a directory if a signal ends the job."""
    resources.enter_context(guard.at_end(functools.partial(remove_temporaries, directory)))


def remove_stale_temporaries(directory: Path, claim: Claim | None = None) -> None:
    """Removes what a killed process left of its atomic writes; the caller holds the claim.

    Args:
        directory: The job's results, or where its claims are.
        claim: The caller's claim, where others may be about to make theirs: those are left.
    """
    for path in filter(is_temporary, [*directory.iterdir(), *directory.glob("*/.*")]):
        if claim is not None and claim.is_of_rival(path):
            continue
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
