"""The last stage of a job: the one writer of its results, and how it ends."""

import contextlib
import logging
import time

from af3opt.base.errors import Af3optError
from af3opt.engine.outputs import terms_of_use
from af3opt.execution.job.fate import JobLostError, Verdict
from af3opt.execution.job.loading import LoadedJob
from af3opt.execution.job.resolving import ResolvedJob, begin_record
from af3opt.execution.job.seed_files import SeedResult, write_seed_files
from af3opt.execution.job.tools import Tools
from af3opt.numerics import NonFiniteError
from af3opt.output.record_builder import RecordBuilder
from af3opt.output.record_parts import seed_record
from af3opt.output.run_record import record_path
from af3opt.output.tree import SampleScore, write_ranking
from af3opt.progress import JobReport
from af3opt.progress.stages import WRITE

_log = logging.getLogger(__name__)


class IncompleteError(Af3optError):
    """Files are missing that were written, or should have been."""


class JobWriter:
    """Writes the results of one job; used by one thread at a time."""

    def __init__(self, tools: Tools, job: ResolvedJob) -> None:
        """Begins with the seeds that earlier processes have finished."""
        self._tools = tools
        self._job = job
        self._files = job.loaded.claimed.files
        self._scores: dict[int, tuple[SampleScore, ...]] = {
            seed: record.scores for seed, record in job.finished.items()
        }
        self.seeds_run = 0

    def write_seed(self, result: SeedResult) -> None:
        """Writes a seed's directories, each complete or absent; then it counts as done.

        Raises:
            JobLostError: another process has taken the job over.
            OSError: the job's directory cannot be written.
        """
        job, seed, start = self._job, result.seed, time.monotonic()
        with job.report.stage(WRITE, seed):
            written = write_seed_files(
                result,
                job.tree,
                self._tools.settings,
                self._files,
                synthetic=self._tools.session.synthetic,
            )
            self._scores[seed] = written.scores
            self.seeds_run += 1
            self.write_ranking()
            if job.record is not None:
                job.record.add_seed(seed_record(result.checked, written.records))
                write_record(job.record, job.loaded, job.report, "incomplete")
            run = job.searched.run
            if run is not None:
                seconds = result.seconds + time.monotonic() - start
                run.finish_seed(seed, job.tree.root, written.directories, written.scores, seconds)

    def write_ranking(self) -> None:
        """Rewrites the files that depend on all finished seeds.

        Raises:
            JobLostError: another process has taken the job over.
            OSError: the job's directory cannot be written.
        """
        order = [seed for seed in self._job.seeds if seed in self._scores]
        scores = [score for seed in order for score in self._scores[seed]]
        write_ranking(self._job.tree, scores, self._files)
        terms = terms_of_use() if self._tools.settings.save_terms_of_use else None
        if terms is not None:
            self._files.text(self._job.tree.root / "TERMS_OF_USE.md", terms)

    def check_complete(self) -> None:
        """Finds out whether there is a result, and all of it on disk, once all seeds are done.

        Raises:
            NonFiniteError: no sample of any seed could be ranked.
            IncompleteError: files are missing.
        """
        job = self._job
        if self._scores and not any(self._scores.values()):
            raise NonFiniteError(
                f"no sample of its {len(self._scores)} seed(s) is finite, so none is ranked; they "
                f"are in {job.tree.root}/seed-*; --noresume --debug_numerics runs it again and "
                "finds the first stage that is not finite"
            )
        run = job.searched.run
        if run is not None and not run.is_finished(job.seeds):
            raise IncompleteError(
                f"{job.tree.root}: files of finished seeds are missing or have another size; "
                "somebody else writes there; run the same command again"
            )

    @property
    def has_results(self) -> bool:
        """Whether any seed is finished."""
        return bool(self._scores)


def write_record(record: RecordBuilder, loaded: LoadedJob, report: JobReport, status: str) -> None:
    """Writes a job's run record as things are.

    Raises:
        JobLostError: another process has taken the job over.
        OSError: the job's directory cannot be written.
    """
    failure = loaded.claimed.fate.failure
    record.write(
        record_path(loaded.tree.root, loaded.tree.name),
        status=status,
        reason=failure.reason if failure else "",
        stages=report.stage_records(),
        caches=report.cache_records(),
    )


def end_job(
    tools: Tools,
    loaded: LoadedJob,
    report: JobReport,
    job: ResolvedJob | None,
    writer: JobWriter | None,
) -> Verdict:
    """Says and records how a job ended, unless it is another process's by now.

    Args:
        tools: What jobs are done with.
        loaded: The job.
        report: Is told.
        job: The job with what its seeds share, None where it did not come so far.
        writer: Its writer, None where it did not come so far.

    Returns:
        How it ended; nothing that is found out later changes that.
    """
    fate = loaded.claimed.fate
    if fate.goes_on:
        try:
            if writer is not None:
                writer.check_complete()
            elif not loaded.tree.data_json.is_file():
                raise IncompleteError(
                    f"{loaded.tree.data_json}: is gone; run the same command again"
                )
        except (NonFiniteError, IncompleteError) as error:
            fate.fail(error)
    # Found out once more before anything is said of the job.
    with contextlib.suppress(JobLostError):
        fate.check_ours()
    verdict = fate.verdict
    if verdict is Verdict.DONE:
        report.finished(loaded.tree.root)
    elif verdict is Verdict.FAILED and fate.failure is not None:
        report.failed(fate.failure.reason)
    elif verdict is Verdict.LOST:
        _log.warning("Fold job %s is another process's by now; it writes the rest", loaded.name)
    if verdict is not Verdict.LOST:
        with contextlib.suppress(OSError, JobLostError):
            _write_last_files(tools, loaded, report, job, writer, verdict)
    if tools.session.reporter.memory is not None:
        tools.session.reporter.memory.cleanup()
    return fate.verdict


_RECORDED = {Verdict.DONE: "done", Verdict.FAILED: "failed", Verdict.LEFT: "incomplete"}


def _write_last_files(
    tools: Tools,
    loaded: LoadedJob,
    report: JobReport,
    job: ResolvedJob | None,
    writer: JobWriter | None,
    verdict: Verdict,
) -> None:
    record = job.record if job is not None else begin_record(tools, loaded, loaded.fold_input)
    if record is not None and loaded.tree.root.is_dir():
        write_record(record, loaded, report, _RECORDED[verdict])
    if tools.settings.report and writer is not None and writer.has_results:
        loaded.claimed.fate.check_ours()
        _write_report(loaded)


def _write_report(loaded: LoadedJob) -> None:
    from af3opt.report import write_report

    try:
        _log.info("Report written to %s", write_report(loaded.tree.root))
    except (Af3optError, OSError) as error:
        _log.warning("%s: no report: %s", loaded.name, error)
