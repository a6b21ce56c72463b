"""A whole `af3opt run`: every input, each job once, whatever happens to single ones."""

import contextlib
import dataclasses
import datetime
import itertools
import logging
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

from af3opt.backend import Backend
from af3opt.engine.bootstrap import bootstrap_engine
from af3opt.engine.features import Batch
from af3opt.engine.inputs import FoldInput, load_fold_inputs
from af3opt.engine.results import count_tokens
from af3opt.errors import Af3optError, ExitCode, InputError, SetupError
from af3opt.execution.claims import current_holder, keep_alive, try_claim
from af3opt.execution.deadline import Deadline, find_deadline
from af3opt.execution.fold_job import FoldJob, SeedResult
from af3opt.execution.interrupt import InterruptGuard
from af3opt.execution.journal import JobJournal
from af3opt.execution.outcomes import (
    Outcome,
    Status,
    exit_code,
    summary_lines,
    write_failures,
)
from af3opt.execution.planning import (
    PlannedJob,
    input_files,
    padded_size,
    parse_shard,
    plan_jobs,
    read_jobs,
    take_shard,
)
from af3opt.execution.session import Session
from af3opt.execution.stream import run_in_turn, run_overlapped
from af3opt.output.atomic import temporary_sibling
from af3opt.output.tree import JobTree, choose_job_directory
from af3opt.settings import Settings

_log = logging.getLogger(__name__)

_TERMS_NOTICE = (
    "Running AlphaFold 3. Please note that standard AlphaFold 3 model parameters are only "
    "available under terms of use provided at "
    "https://github.com/google-deepmind/alphafold3/blob/main/WEIGHTS_TERMS_OF_USE.md. If you do "
    "not agree to these terms and are using AlphaFold 3 derived model parameters, cancel "
    "execution with Ctrl-C, and do not use the model parameters."
)


def run_batch(settings: Settings, backend: Backend, guard: InterruptGuard) -> ExitCode:
    """Folds every input of the settings.

    Args:
        settings: Checked settings; the environment has been applied.
        backend: Where the model runs.
        guard: Cleans up when the process is interrupted.

    Returns:
        OK; SOME_FAILED when jobs of a batch failed; REQUEUE when time ran out.

    Raises:
        InputError: the only job's input cannot be used; nothing was written.
        SetupError: engine, weights, tools or output directory are unusable.
    """
    assert settings.output_dir is not None
    engine = bootstrap_engine()
    _log.info("Engine: %s", engine.label)
    session = Session(
        settings=settings, backend=backend, engine=engine, output_dir=settings.output_dir
    )
    return _Run(session, guard, find_deadline(settings, os.environ)).run()


@dataclasses.dataclass(frozen=True, slots=True)
class _Featurised:
    """A seed that is ready for the device."""

    job: FoldJob
    seed: int
    batch: Batch
    started: float


@dataclasses.dataclass(frozen=True, slots=True)
class _Ran:
    """A job's seed that has left the device."""

    job: FoldJob
    result: SeedResult


@dataclasses.dataclass(frozen=True, slots=True)
class _End:
    """Follows a job's last seed through the stages: nothing of the job comes after it."""

    job: FoldJob
    planned: PlannedJob
    started: float


class _Run:
    """The jobs of one process, from plan to exit code."""

    def __init__(self, session: Session, guard: InterruptGuard, deadline: Deadline) -> None:
        self._session = session
        self._settings = session.settings
        self._guard = guard
        self._deadline = deadline
        self._outcomes: list[Outcome] = []
        self._stop = False
        self._single = False

    def run(self) -> ExitCode:
        """Runs the batch; see `run_batch`."""
        plan = self._plan()
        if not plan:
            raise InputError(f"--input_dir={self._settings.input_dir}: holds no *.json file")
        self._single = len(plan) == 1
        if self._single:
            self._load(plan[0]).check(self._session.pipeline)  # Nothing is written for a bad input.
        _make_output_directory(self._session.output_dir)
        self._guard.watch(self._session.output_dir)
        # What `sbatch --signal=USR1@300` sends ahead of the time limit.
        signal.signal(signal.SIGUSR1, self._on_stop_request)
        _log.info(_TERMS_NOTICE)
        if self._settings.run_inference:
            _ = self._session.runner  # Unusable weights end the run before any search.
        run = run_overlapped if self._overlapped() else run_in_turn
        run(self._ready(plan), self._infer, self._write)
        return self._finish()

    def _overlapped(self) -> bool:
        choice = self._settings.overlap
        return choice == "on" or (choice == "auto" and self._session.backend.name != "cpu")

    def _on_stop_request(self, _number: int, _frame: object) -> None:
        _log.warning("SIGUSR1: no further seed is started; run the same command to continue.")
        self._stop = True

    def _plan(self) -> list[PlannedJob]:
        settings = self._settings
        if settings.json_path is not None:
            return read_jobs(settings.json_path)
        assert settings.input_dir is not None
        paths = input_files(settings.input_dir, recursive=settings.recursive)
        jobs = plan_jobs(
            take_shard(paths, *parse_shard(settings, os.environ)),
            by_bucket=settings.order == "bucket",
            buckets=self._session.buckets,
        )
        return list(jobs)

    def _load(self, planned: PlannedJob) -> FoldJob:
        """Reads a job through the engine.

        Raises:
            InputError: it cannot be used.
        """
        fold_input = next(
            itertools.islice(load_fold_inputs(planned.path), planned.position, None), None
        )
        if fold_input is None:
            raise InputError(f"{planned.path}: holds no fold job; see the input format")
        fold_input = _with_seeds(fold_input, self._settings.num_seeds, planned.path)
        name = fold_input.sanitised_name()
        return FoldJob(
            settings=self._settings,
            source=planned.path,
            fold_input=fold_input,
            tree=JobTree(self._session.output_dir / name, name),
            buckets=self._session.buckets,
            synthetic=self._session.synthetic,
        )

    def _ready(self, plan: list[PlannedJob]) -> Iterator[_Featurised | _End]:
        """Does all host-side work ahead of the device; ends each job it began with `_End`."""
        for index, planned in enumerate(plan):
            if self._must_stop(planned):
                self._outcomes += [_outcome(left, Status.LEFT) for left in plan[index:]]
                return
            started = time.monotonic()
            job = self._open(planned)
            if job is not None:
                yield from self._job_seeds(job, planned)
                yield _End(job, planned, started)

    def _must_stop(self, planned: PlannedJob) -> bool:
        bucket = padded_size(planned.tokens, self._session.buckets)
        return self._stop or not self._deadline.allows(bucket)

    def _open(self, planned: PlannedJob) -> FoldJob | None:
        """Loads, checks and claims a job; None when there is nothing to do for it."""
        try:
            job = self._load(planned)
            job.check(self._session.pipeline)
            _log.info("Running fold job %s...", job.name)
            if not self._settings.resume:
                self._use_directory(job, self._free_directory(job))
                return job
            return self._resume(job, planned)
        except (Af3optError, OSError) as error:
            self._give_up(planned, _reason(error), error)
            return None

    def _resume(self, job: FoldJob, planned: PlannedJob) -> FoldJob | None:
        """Claims a job and finds the directory of an equal earlier run, if any."""
        identity = self._session.identity(planned.path, planned.position)
        journal = JobJournal(self._session.output_dir, job.tree.name, identity)
        claim = try_claim(journal.job_directory)
        if claim is None:
            holder = current_holder(journal.job_directory)
            where = f"process {holder.process_id} on {holder.host}" if holder else "another process"
            _log.info("Fold job %s is being done by %s", job.name, where)
            self._outcomes.append(_outcome(planned, Status.ELSEWHERE))
            return None
        job.resources.enter_context(keep_alive(claim))
        job.journal = journal
        if self._settings.explain_resume:
            for line in journal.explain():
                _log.info("%s: an earlier run differs in %s", job.name, line)
        known = journal.directory_in_use()
        self._use_directory(job, known or self._free_directory(job))
        journal.begin(job.tree.root)
        return job

    def _free_directory(self, job: FoldJob) -> Path:
        return choose_job_directory(
            job.tree.root, force=self._settings.force_output_dir, now=datetime.datetime.now()
        )

    def _use_directory(self, job: FoldJob, root: Path) -> None:
        if root != job.tree.root:
            _log.info("Output will be written in %s since %s is non-empty.", root, job.tree.root)
        else:
            _log.info("Output will be written in %s", root)
        job.tree = JobTree(root, job.tree.name)
        root.mkdir(parents=True, exist_ok=True)
        self._guard.watch(root)

    def _job_seeds(self, job: FoldJob, planned: PlannedJob) -> Iterator[_Featurised]:
        """Yields a job's missing seeds; notes in the job why it stops early."""
        try:
            job.search(self._session.pipeline)
            if not self._settings.run_inference:
                _log.info("Skipping model inference...")
                return
            seeds = job.missing_seeds()
            done = len(job.fold_input.rng_seeds) - len(seeds)
            if done:
                _log.info("%s: %d seed(s) are done already, %d to do", job.name, done, len(seeds))
            if seeds:
                _log.info("Predicting 3D structure for %s with %d seed(s)...", job.name, len(seeds))
            for seed in seeds:
                if job.failure:
                    return
                if self._must_stop(planned):
                    job.left = True
                    return
                started = time.monotonic()
                yield _Featurised(job, seed, job.featurise(seed), started)
        except (Af3optError, OSError) as error:
            self._job_failed(job, error)

    def _infer(self, unit: _Featurised | _End) -> _Ran | _End | None:
        if isinstance(unit, _End):
            return unit
        job = unit.job
        if job.failure:
            return None
        try:
            result = job.infer(unit.batch, unit.seed, self._session.runner, unit.started)
        except (Af3optError, OSError) as error:
            self._job_failed(job, error)
            return None
        return _Ran(job, result)

    def _write(self, unit: _Ran | _End) -> None:
        if isinstance(unit, _End):
            self._end_job(unit)
            return
        try:
            unit.job.write_seed(unit.result)
        except (Af3optError, OSError) as error:
            self._job_failed(unit.job, error)
            return
        bucket = padded_size(count_tokens(unit.result.samples[0]), self._session.buckets)
        self._deadline.learn(bucket, time.monotonic() - unit.result.started)

    def _end_job(self, end: _End) -> None:
        job = end.job
        seconds = time.monotonic() - end.started
        if job.failure:
            status = Status.FAILED
        elif job.left:
            status = Status.LEFT
        else:
            status = (
                Status.DONE
                if job.seeds_run or not self._settings.run_inference
                else (Status.ALREADY_DONE)
            )
            _log.info("Fold job %s done, output written to %s", job.name, job.tree.root)
        job.resources.close()
        self._outcomes.append(
            _outcome(end.planned, status, reason=job.failure, seeds=job.seeds_run, seconds=seconds)
        )

    def _job_failed(self, job: FoldJob, error: Exception) -> None:
        if self._single or self._settings.fail_fast:
            job.resources.close()
            raise error
        job.failure = _reason(error)
        _log.error("Fold job %s failed: %s", job.name, job.failure)
        if job.journal is not None:
            job.journal.fail(job.failure)

    def _give_up(self, planned: PlannedJob, reason: str, error: Exception) -> None:
        if self._single or self._settings.fail_fast:
            raise error
        _log.error("Fold job %s failed: %s", planned.name, reason)
        self._outcomes.append(_outcome(planned, Status.FAILED, reason=reason))

    def _finish(self) -> ExitCode:
        with contextlib.suppress(OSError):
            write_failures(self._session.output_dir, self._outcomes)
        for line in summary_lines(self._outcomes):
            _log.info("%s", line)
        finished = sum(
            outcome.status in (Status.DONE, Status.ALREADY_DONE) for outcome in self._outcomes
        )
        _log.info("Done running %d fold jobs.", finished)
        return exit_code(self._outcomes)


def _outcome(
    planned: PlannedJob, status: Status, *, reason: str = "", seeds: int = 0, seconds: float = 0.0
) -> Outcome:
    return Outcome(
        name=planned.name,
        path=planned.path,
        status=status,
        reason=reason,
        seeds=seeds,
        seconds=seconds,
    )


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return str(error)


def _with_seeds(fold_input: FoldInput, number: int | None, path: Path) -> FoldInput:
    if number is None:
        return fold_input
    _log.info("Expanding fold job %s to %d seeds", fold_input.name, number)
    try:
        return fold_input.with_multiple_seeds(number)
    except ValueError as error:
        raise InputError(f"{path}: --num_seeds={number}: {error}") from error


def _make_output_directory(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
        probe = temporary_sibling(path / "probe")
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise SetupError(f"--output_dir={path}: cannot write there: {error.strerror}") from error
