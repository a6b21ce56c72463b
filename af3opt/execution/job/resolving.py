"""The third stage of a job: MSAs and templates are there, and what its seeds share."""

import contextlib
import dataclasses
import logging
from collections.abc import Mapping, Sequence

from af3opt.base.logs import messages_of_job
from af3opt.engine.inputs import FoldInput
from af3opt.engine.refusals import featurising
from af3opt.execution.job.earlier_results import set_aside
from af3opt.execution.job.identity import Identity
from af3opt.execution.job.loading import LoadedJob, resolved_digest
from af3opt.execution.job.run_journal import RunJournal, SeedRecord
from af3opt.execution.job.tools import Tools
from af3opt.features.featurise import JobFeatures
from af3opt.output.checked_files import CheckedFiles
from af3opt.output.job_directory import remove_marks
from af3opt.output.record_builder import RecordBuilder
from af3opt.output.run_record import InputRecord, record_path
from af3opt.output.tree import JobTree
from af3opt.progress import JobReport
from af3opt.progress.stages import DATA_PIPELINE

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SearchedJob:
    """A job whose input has its MSAs and templates, and lies in its directory so.

    Attributes:
        loaded: The stage before.
        fold_input: The engine's input, complete.
        report: Is told what happens to the job.
        run: The journal of its inference; None without resume, or without inference.
    """

    loaded: LoadedJob
    fold_input: FoldInput
    report: JobReport
    run: RunJournal | None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ResolvedJob:
    """A job whose seeds can be done.

    Attributes:
        searched: The stage before.
        finished: Seeds that earlier processes have finished.
        features: Makes the features of its seeds.
        record: The run record in the making, None when none is to be written.
    """

    searched: SearchedJob
    finished: Mapping[int, SeedRecord]
    features: JobFeatures
    record: RecordBuilder | None

    @property
    def loaded(self) -> LoadedJob:
        """The job as it was read."""
        return self.searched.loaded

    @property
    def report(self) -> JobReport:
        """Is told what happens to the job."""
        return self.searched.report

    @property
    def tree(self) -> JobTree:
        """Where its files go."""
        return self.loaded.tree

    @property
    def seeds(self) -> Sequence[int]:
        """All its seeds, in the input's order."""
        seeds: Sequence[int] = self.searched.fold_input.rng_seeds
        return seeds


def search_job(tools: Tools, loaded: LoadedJob, report: JobReport) -> SearchedJob:
    """Fills in MSAs and templates, and notes what the job's run will do.

    Args:
        tools: What jobs are done with.
        loaded: The stage before.
        report: Is told what happens.

    Raises:
        SetupError: the search failed.
        OSError: the output directory cannot be written.
    """
    data = loaded.data
    if data is None:
        fold_input = _searched_input(tools, loaded, report)
    else:
        _log.info("Data pipeline of %s is done already: %s", loaded.name, data.data_json)
        fold_input = loaded.fold_input
    if data is None or data.data_json != loaded.tree.data_json:
        loaded.claimed.fate.check_ours()
        set_aside(loaded.tree, fold_input, loaded.source)
    _write_data_json(loaded.tree, fold_input, loaded.claimed.files)
    remove_marks(loaded.tree.root)
    return SearchedJob(
        loaded=loaded,
        fold_input=fold_input,
        report=report,
        run=_begin_run(tools, loaded, fold_input),
    )


def resolve_job(tools: Tools, searched: SearchedJob) -> ResolvedJob:
    """Finds out which seeds are done, and makes what the others share.

    Args:
        tools: What jobs are done with.
        searched: The stage before.

    Raises:
        InputError: the input cannot be featurised.
    """
    loaded, fold_input = searched.loaded, searched.fold_input
    finished: Mapping[int, SeedRecord] = {}
    if searched.run is not None:
        finished = searched.run.finished_seeds(fold_input.rng_seeds, loaded.tree.root)
    with featurising(loaded.source), messages_of_job(loaded.name):
        features = JobFeatures(fold_input, loaded.ccd, tools.features, cache=tools.feature_cache)
    loaded.claimed.resources.callback(features.close)
    record = begin_record(tools, loaded, fold_input)
    if record is not None:
        record.keep_seeds(set(finished))
    return ResolvedJob(searched=searched, finished=finished, features=features, record=record)


def begin_record(tools: Tools, loaded: LoadedJob, fold_input: FoldInput) -> RecordBuilder | None:
    """Begins a job's run record; None when none is to be written."""
    if tools.facts is None:
        return None
    record = RecordBuilder(
        tools.facts(),
        name=loaded.name,
        job_input=InputRecord(
            file=str(loaded.source),
            digest=resolved_digest(fold_input),
            tokens=None,
            padded_tokens=None,
        ),
        files=loaded.claimed.files,
    )
    if tools.settings.resume:
        record.take_over(record_path(loaded.tree.root, loaded.tree.name))
    return record


def _searched_input(tools: Tools, loaded: LoadedJob, report: JobReport) -> FoldInput:
    if tools.pipeline is None:
        _log.info("Skipping data pipeline...")
        return loaded.fold_input
    with report.stage(DATA_PIPELINE), messages_of_job(loaded.name):
        return tools.pipeline.process(loaded.fold_input)


def _write_data_json(tree: JobTree, fold_input: FoldInput, files: CheckedFiles) -> None:
    """Writes `<name>_data.json` unless it is there with this content."""
    path, text = tree.data_json, fold_input.to_json()
    with contextlib.suppress(OSError, UnicodeDecodeError):
        if path.read_text(encoding="utf-8") == text:
            return
    _log.info("Writing model input JSON to %s", path)
    files.text(path, text)


def _begin_run(tools: Tools, loaded: LoadedJob, fold_input: FoldInput) -> RunJournal | None:
    """Notes in the journal that the input is complete, and which run follows."""
    journal, identity, data = loaded.claimed.journal, loaded.data_identity, loaded.data
    if journal is None or identity is None:
        return None
    session, seeds = tools.session, fold_input.rng_seeds
    data_json = loaded.tree.data_json
    if data is None:
        data = journal.data.finish(identity, data_json, resolved_digest(fold_input), seeds)
    elif data.data_json == data_json or not data.belongs_to(journal.source, seeds):
        # Written again if the seeds are others, so it may be another file.
        journal.data.finish(Identity(data.parts), data_json, data.resolved, seeds)
    if not tools.settings.run_inference:
        journal.forget_others(loaded.tree.root, Identity(data.parts), None)
        return None
    run_identity = session.run_identity(data.resolved, seeds[0])
    parts = {**data.parts, **run_identity.parts}
    if tools.settings.explain_resume:
        for line in journal.explain(parts):
            _log.info("%s: %s", loaded.name, line)
    run = journal.run(run_identity, seeds)
    journal.forget_others(loaded.tree.root, Identity(data.parts), run)
    run.begin(loaded.tree.root, seeds, parts)
    return run
