"""Opening a job: is it done, is it free, what is there already, where does it write.

Without resume, a job gets upstream's directory and everything is done. With it:

1. The job is claimed; temporary files of a dead holder are removed.
2. MSAs and templates are taken from an equal earlier search if there was one.
3. An equal earlier inference is continued in its directory. Otherwise the job's own
   directory is used while no other run has begun in it, else upstream's time stamp.
"""

import dataclasses
import datetime
import functools
import logging
import shutil
from collections.abc import Sequence
from pathlib import Path

from af3opt.base.atomic import is_temporary
from af3opt.base.errors import Af3optError, InputError
from af3opt.engine.inputs import FoldInput, load_fold_input, needs_search, reload_fold_input
from af3opt.execution.claims.claim import current_holder, keep_alive, newest_holder, try_claim
from af3opt.execution.claims.holder import Holder, this_process
from af3opt.execution.interrupt import InterruptGuard, remove_temporaries
from af3opt.execution.job.fold_job import FoldJob
from af3opt.execution.job.identity import Identity, input_digest
from af3opt.execution.job.journal import DataRecord, JobJournal
from af3opt.execution.job.session import Session
from af3opt.execution.outcomes import FAILED_FILE
from af3opt.execution.planning.plan import PlannedJob
from af3opt.execution.state_directory import STATE_DIRECTORY
from af3opt.inputs.checking import check_job
from af3opt.inputs.findings import shown
from af3opt.inputs.names import longest_name
from af3opt.output.tree import JobTree, choose_job_directory
from af3opt.report.writing import BATCH_PAGE
from af3opt.settings.settings import Settings

_log = logging.getLogger(__name__)

# What a job's directory must not be named: the output directory, the one above, our own files.
_TAKEN_NAMES = frozenset({".", "..", STATE_DIRECTORY, FAILED_FILE, BATCH_PAGE})


@dataclasses.dataclass(frozen=True, slots=True)
class OpenJob:
    """A job that this process holds.

    Attributes:
        job: The job.
        planned: What the plan says of it.
        journal: Its journal, None without resume.
        data_identity: Identity of its MSAs and templates, None without resume.
        data: Those already there, or None.
    """

    job: FoldJob
    planned: PlannedJob
    journal: JobJournal | None = None
    data_identity: Identity | None = None
    data: DataRecord | None = None


class JobHeldError(Af3optError):
    """Another process works on the job."""

    def __init__(self, holder: Holder | None) -> None:
        super().__init__(
            f"process {holder.process_id} on {holder.host}" if holder else "another process"
        )
        self.by_this_process = holder == this_process()


class JobOpener:
    """Opens the jobs of one process."""

    def __init__(self, session: Session, guard: InterruptGuard) -> None:
        """Connects what opening needs.

        Args:
            session: What all jobs share.
            guard: Told of directories to clean and claims to release at a signal.
        """
        self._session = session
        self._settings = session.settings
        self._guard = guard

    def is_finished(self, planned: PlannedJob) -> bool:
        """Tells whether nothing is left to do for a job; neither engine nor weights load."""
        journal = self._journal(planned.sanitised_name)
        if not self._settings.resume or not journal.directory.is_dir():
            return False
        holder = newest_holder(journal.directory)
        if holder is not None and not holder.released:
            return False  # Held, or its holder died and may have left unfinished files.
        try:
            digest = input_digest(planned.path, planned.position)
        except (InputError, OSError, ValueError, LookupError, AttributeError):
            return False  # Opening the job will say what is wrong with it.
        data = self._find_data(journal, digest)
        if data is None:
            return False
        seeds = self._wanted_seeds(planned, data)
        if not self._settings.run_inference:
            return data.seeds == tuple(seeds)
        run = journal.run(self._session.run_identity(data.resolved, seeds[0]))
        return run.is_finished(seeds)

    def load(self, planned: PlannedJob) -> FoldJob:
        """Reads a job through the engine and checks it; writes nothing.

        Raises:
            InputError: it cannot be used.
            SetupError: something its search needs is missing.
        """
        _check_name(planned, self._settings)
        return self._load(planned).job

    def open(self, planned: PlannedJob) -> OpenJob:
        """Loads, checks and claims a job, and makes its directory.

        Raises:
            InputError: it cannot be used.
            JobHeldError: another process works on it.
            SetupError: something its search needs is missing.
            OSError: the output directory cannot be written.
        """
        _check_name(planned, self._settings)
        if not self._settings.resume:
            opened = self._load(planned)
            self._use(opened.job, self._free_directory(opened.job))
            return opened
        journal = self._journal(planned.sanitised_name)
        claim = try_claim(journal.directory)
        if claim is None:
            raise JobHeldError(current_holder(journal.directory))
        release = claim.release
        try:
            opened = self._load(planned)
            directory = self._begun_directory(opened)
            if directory is not None:
                remove_stale_temporaries(directory)
            remove_stale_temporaries(journal.directory)
            self._use(opened.job, directory or self._free_directory(opened.job))
            if opened.data is None and opened.data_identity is not None:
                journal.begin_data(opened.data_identity, opened.job.tree.root)
        except BaseException:
            release()
            raise
        self._clean_at_end(opened.job, journal.directory)
        opened.job.resources.enter_context(self._guard.at_end(release))
        opened.job.resources.enter_context(keep_alive(claim))
        opened.job.is_still_ours = claim.is_current
        return opened

    def _load(self, planned: PlannedJob) -> OpenJob:
        fold_input = load_fold_input(planned.path, planned.position)
        name = fold_input.sanitised_name()
        job = FoldJob(
            session=self._session,
            source=planned.path,
            fold_input=fold_input,
            tree=JobTree(self._session.output_dir / name, name),
        )
        journal = identity = data = None
        if self._settings.resume:
            digest = input_digest(planned.path, planned.position)
            journal = self._journal(name)
            data = self._find_data(journal, digest)
            searched = self._settings.run_data_pipeline and needs_search(fold_input)
            identity = self._session.data_identity(digest, searched=searched)
        if data is None:
            job.fold_input = self._with_seeds(fold_input, planned)
            job.check(self._session.pipeline)
        else:
            recorded = reload_fold_input(data.data_json)
            seeds = planned.seeds or data.seeds
            job.fold_input = self._with_seeds(
                dataclasses.replace(recorded, rng_seeds=list(seeds)), planned
            )
        return OpenJob(job, planned, journal, identity, data)

    def begin(self, opened: OpenJob) -> None:
        """Completes the input of an open job and notes what its run will do.

        Raises:
            SetupError: the search for MSAs and templates failed.
            OSError: the output directory cannot be written.
        """
        job, data = opened.job, opened.data
        if data is None:
            job.search(self._session.pipeline)
            job.write_data_json()
        else:
            _log.info("Data pipeline of %s is done already: %s", job.name, data.data_json)
            job.write_data_json()
        journal, identity = opened.journal, opened.data_identity
        if journal is None or identity is None:
            return
        seeds = job.fold_input.rng_seeds
        if data is None:
            resolved = job.resolved_digest()
            data = journal.finish_data(identity, job.tree.data_json, resolved, seeds)
        elif data.data_json == job.tree.data_json:
            # Written again if the seeds are others, so its size may be another.
            identity = Identity(data.parts)
            journal.finish_data(identity, data.data_json, data.resolved, seeds)
        if not self._settings.run_inference:
            return
        run_identity = self._session.run_identity(data.resolved, seeds[0])
        parts = {**data.parts, **run_identity.parts}
        if self._settings.explain_resume:
            for line in journal.explain(parts):
                _log.info("%s: %s", job.name, line)
        job.run = journal.run(run_identity)
        job.run.begin(job.tree.root, seeds, parts)

    def _find_data(self, journal: JobJournal, digest: str) -> DataRecord | None:
        given = journal.data_record(self._session.data_identity(digest, searched=False))
        if given is not None:
            return given
        if not self._settings.run_data_pipeline:
            return journal.data_of_input(digest)
        return journal.data_record(self._session.data_identity(digest, searched=True))

    def _begun_directory(self, opened: OpenJob) -> Path | None:
        """The directory of an equal earlier run, finished or not, if there is one."""
        journal, data = opened.journal, opened.data
        assert journal is not None
        assert opened.data_identity is not None
        if data is None:
            return journal.begun_data_directory(opened.data_identity)
        if self._settings.run_inference:
            first_seed = opened.job.fold_input.rng_seeds[0]
            run = journal.run(self._session.run_identity(data.resolved, first_seed))
            directory = run.directory_in_use()
            if directory is not None:
                return directory
            if journal.directory_is_taken(data.data_json.parent):
                return None
        return data.data_json.parent

    def _use(self, job: FoldJob, root: Path) -> None:
        if root != job.tree.root:
            _log.info("Output will be written in %s since %s is non-empty.", root, job.tree.root)
        else:
            _log.info("Output will be written in %s", root)
        job.tree = JobTree(root, job.tree.name)
        root.mkdir(parents=True, exist_ok=True)
        self._clean_at_end(job, root)

    def _clean_at_end(self, job: FoldJob, directory: Path) -> None:
        """Leaves nothing half-written in a directory if a signal ends the job."""
        step = functools.partial(remove_temporaries, directory)
        job.resources.enter_context(self._guard.at_end(step))

    def _free_directory(self, job: FoldJob) -> Path:
        return choose_job_directory(
            job.tree.root, force=self._settings.force_output_dir, now=datetime.datetime.now()
        )

    def _journal(self, name: str) -> JobJournal:
        return JobJournal(self._session.output_dir, name)

    def _wanted_seeds(self, planned: PlannedJob, data: DataRecord) -> Sequence[int]:
        seeds, number = planned.seeds or data.seeds, self._settings.num_seeds
        if number is None or len(seeds) != 1:
            return seeds
        return range(seeds[0], seeds[0] + number)

    def _with_seeds(self, fold_input: FoldInput, planned: PlannedJob) -> FoldInput:
        number = self._settings.num_seeds
        if number is None or (not planned.seeds and len(fold_input.rng_seeds) == number):
            return fold_input
        _log.info("Expanding fold job %s to %d seeds", fold_input.name, number)
        try:
            return fold_input.with_multiple_seeds(number)
        except ValueError as error:
            raise InputError(f"{planned.path}: --num_seeds={number}: {error}") from error


def _check_name(planned: PlannedJob, settings: Settings) -> None:
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


def remove_stale_temporaries(directory: Path) -> None:
    """Removes what a killed process left of its atomic writes; the caller holds the claim."""
    for path in filter(is_temporary, [*directory.iterdir(), *directory.glob("*/.*")]):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
