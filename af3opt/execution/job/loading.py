"""The second stage of a job: its input is read and checked, and it has a directory."""

import contextlib
import dataclasses
import datetime
import logging
from collections.abc import Sequence
from pathlib import Path

from af3opt.base.errors import InputError
from af3opt.base.key import text_digest
from af3opt.engine.inputs import (
    FoldInput,
    load_digested_input,
    make_ccd,
    needs_search,
    reload_fold_input,
)
from af3opt.engine.msa import DataPipeline
from af3opt.engine.protocols import ComponentDictionary
from af3opt.execution.interrupt import InterruptGuard
from af3opt.execution.job.claiming import (
    ClaimedJob,
    check_name,
    clean_at_end,
    job_journal,
    remove_stale_temporaries,
)
from af3opt.execution.job.data_journal import DataRecord
from af3opt.execution.job.identity import Identity
from af3opt.execution.job.journal import JobJournal
from af3opt.execution.job.session import Session
from af3opt.execution.planning.plan import PlannedJob, seeds_problem
from af3opt.execution.state_directory import STATE_DIRECTORY
from af3opt.output.job_directory import make_job_directory, remove_marks
from af3opt.output.tree import JobTree
from af3opt.settings.settings import Settings

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class LoadedJob:
    """A job whose input can be used.

    Attributes:
        claimed: The stage before.
        fold_input: The engine's input with the seeds that are wanted; MSAs and templates
            are filled in if `data` has them.
        ccd: The component dictionary with the job's own components.
        tree: Where its files go.
        data_identity: Identity of its MSAs and templates, None without resume.
        data: Those already there, unchanged since they were written, or None.
    """

    claimed: ClaimedJob
    fold_input: FoldInput
    ccd: ComponentDictionary
    tree: JobTree
    data_identity: Identity | None = None
    data: DataRecord | None = None

    @property
    def name(self) -> str:
        """The job's name as the user gave it."""
        return str(self.fold_input.name)

    @property
    def source(self) -> Path:
        """File the input came from."""
        return self.claimed.planned.path


@dataclasses.dataclass(frozen=True, slots=True)
class _Earlier:
    """What earlier processes have done of a job; see `LoadedJob`."""

    journal: JobJournal
    identity: Identity
    data: DataRecord | None
    fold_input: FoldInput | None


def check_job(session: Session, pipeline: DataPipeline | None, planned: PlannedJob) -> None:
    """Reads a job through the engine and checks it; writes nothing.

    Raises:
        InputError: it cannot be used.
        SetupError: something its search needs is missing.
    """
    check_name(planned, session.settings)
    given, digest = load_digested_input(planned.path, planned.position)
    journal = job_journal(session, planned) if session.settings.resume else None
    _usable(session, pipeline, planned, given, _earlier(session, journal, planned, given, digest))


def load_job(
    session: Session, pipeline: DataPipeline | None, guard: InterruptGuard, claimed: ClaimedJob
) -> LoadedJob:
    """Reads and checks a job, finds what is there of it already, and makes its directory.

    Args:
        session: What all jobs share.
        pipeline: The data pipeline, None when it is not to run.
        guard: Told of directories to clean at a signal.
        claimed: The stage before.

    Raises:
        InputError: it cannot be used.
        SetupError: something its search needs is missing.
        JobLostError: another process has taken the job over.
        OSError: the output directory cannot be written.
    """
    planned = claimed.planned
    given, digest = load_digested_input(planned.path, planned.position)
    if given.sanitised_name() != planned.sanitised_name:
        # Claim and journal are those of the name that it had.
        raise InputError(f"{planned.path}: the job's name changed since the run began; run again")
    earlier = _earlier(session, claimed.journal, planned, given, digest)
    fold_input = _usable(session, pipeline, planned, given, earlier)
    name = str(fold_input.sanitised_name())
    root = session.output_dir / name
    directory = None
    if earlier is not None:
        directory = _begun_directory(session, earlier, fold_input)
    # What follows would hit another process's files.
    claimed.fate.check_ours()
    if directory is None:
        directory = _new_directory(session.settings, root, claimed.journal)
    else:
        remove_stale_temporaries(directory)
    _say_where(directory, JobTree(root, name))
    clean_at_end(claimed.resources, guard, directory)
    claimed.resources.callback(remove_marks, directory)
    if earlier is not None and earlier.data is None:
        earlier.journal.data.begin(earlier.identity, directory)
    return LoadedJob(
        claimed=claimed,
        fold_input=fold_input,
        ccd=make_ccd(fold_input.user_ccd),
        tree=JobTree(directory, name),
        data_identity=earlier.identity if earlier else None,
        data=earlier.data if earlier else None,
    )


def find_data(
    session: Session, journal: JobJournal, planned: PlannedJob, digest: str
) -> DataRecord | None:
    """Returns MSAs and templates that an equal input has got, changed since or not.

    Args:
        session: What all jobs share.
        journal: The job's journal.
        planned: The job.
        digest: From `input_digest`.
    """
    given = journal.data.record(session.data_identity(digest, searched=False), planned.seeds)
    if given is not None:
        return given
    if not session.settings.run_data_pipeline:
        return journal.data.of_input(digest, planned.seeds)
    return journal.data.record(session.data_identity(digest, searched=True), planned.seeds)


def resolved_digest(fold_input: FoldInput) -> str:
    """Digest of an input with MSAs and templates filled in, whatever its seeds are."""
    return text_digest(dataclasses.replace(fold_input, rng_seeds=[0]).to_json())


def _usable(
    session: Session,
    pipeline: DataPipeline | None,
    planned: PlannedJob,
    given: FoldInput,
    earlier: _Earlier | None,
) -> FoldInput:
    """Returns the input to go on with, checked: as given, or as an earlier process left it."""
    if earlier is None or earlier.data is None or earlier.fold_input is None:
        _check(session, pipeline, planned, given)
        return _with_seeds(session.settings, planned, given)
    # Written by af3opt and unchanged, so the engine has taken it before.
    seeds = planned.seeds or earlier.data.seeds
    recorded = dataclasses.replace(earlier.fold_input, rng_seeds=list(seeds))
    return _with_seeds(session.settings, planned, recorded)


def _check(
    session: Session, pipeline: DataPipeline | None, planned: PlannedJob, fold_input: FoldInput
) -> None:
    """Finds what is missing for an input before anything is written."""
    if not needs_search(fold_input):
        return
    if pipeline is not None:
        pipeline.check()
    elif session.settings.run_inference:
        raise InputError(
            f"{planned.path}: a chain has no MSA or templates and --norun_data_pipeline is set; "
            "run the data pipeline, or give unpairedMsa, pairedMsa and templates (may be empty)"
        )


def _earlier(
    session: Session,
    journal: JobJournal | None,
    planned: PlannedJob,
    given: FoldInput,
    digest: str,
) -> _Earlier | None:
    if journal is None:
        return None
    searched = session.settings.run_data_pipeline and needs_search(given)
    identity = session.data_identity(digest, searched=searched)
    data = find_data(session, journal, planned, digest)
    if data is None:
        return _Earlier(journal, identity, None, None)
    recorded = _unchanged_input(data)
    if recorded is None:
        _log.warning(
            "%s is not what af3opt wrote there, so it is not used; to fold it, give it as an "
            "input of its own, with another output directory",
            data.data_json,
        )
        return _Earlier(journal, identity, None, None)
    return _Earlier(journal, identity, data, recorded)


def _unchanged_input(data: DataRecord) -> FoldInput | None:
    """Reads an input that has its MSAs and templates; None where its content is another."""
    with contextlib.suppress(InputError, ValueError):
        recorded = reload_fold_input(data.data_json)
        if resolved_digest(recorded) == data.resolved:
            return recorded
    return None


def _begun_directory(session: Session, earlier: _Earlier, fold_input: FoldInput) -> Path | None:
    """The directory of an equal earlier run, finished or not, if there is one."""
    journal, data = earlier.journal, earlier.data
    if data is None:
        return journal.data.begun_directory(earlier.identity)
    if session.settings.run_inference:
        identity = session.run_identity(data.resolved, fold_input.rng_seeds[0])
        directory = journal.run(identity, fold_input.rng_seeds).directory_in_use()
        if directory is not None:
            return directory
        found = data.data_json.parent
        # Results that no journal vouches for may be of other settings.
        if journal.directory_is_taken(found) or not journal.holds_no_results(found):
            return None
    own = data.belongs_to(journal.source, fold_input.rng_seeds)
    return data.data_json.parent if own else journal.data.begun_directory(earlier.identity)


def _new_directory(settings: Settings, root: Path, journal: JobJournal | None) -> Path:
    if settings.force_output_dir:
        root.mkdir(parents=True, exist_ok=True)
        return root
    now = datetime.datetime.now()
    if journal is None:
        workspace = root.parent / STATE_DIRECTORY
        workspace.mkdir(parents=True, exist_ok=True)
        return make_job_directory(root, now, workspace)
    return make_job_directory(root, now, journal.directory, journal.data.is_begun_by_another)


def _say_where(directory: Path, first: JobTree) -> None:
    if directory == first.root:
        _log.info("Output will be written in %s", directory)
        return
    kept = " Results there are of another run and stay as they are." if first.results() else ""
    _log.info("Output will be written in %s since %s is non-empty.%s", directory, first.root, kept)


def wanted_seeds(settings: Settings, planned: PlannedJob, data: DataRecord) -> Sequence[int]:
    """The seeds that a job is to have once its MSAs and templates are there."""
    seeds, number = planned.seeds or data.seeds, settings.num_seeds
    if number is None or len(seeds) != 1:
        return seeds
    return range(seeds[0], seeds[0] + number)


def _with_seeds(settings: Settings, planned: PlannedJob, fold_input: FoldInput) -> FoldInput:
    number = settings.num_seeds
    if number is None or (not planned.seeds and len(fold_input.rng_seeds) == number):
        return fold_input
    problem = seeds_problem(planned, number)
    if problem is not None:
        raise InputError(problem)
    _log.info("Expanding fold job %s to %d seeds", fold_input.name, number)
    try:
        return fold_input.with_multiple_seeds(number)
    except ValueError as error:
        raise InputError(f"{planned.path}: --num_seeds={number}: {error}") from error
