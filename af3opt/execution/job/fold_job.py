"""One fold job from its input to its files, stage by stage, seed by seed.

Upstream featurises all seeds, runs all seeds, then writes everything. Here each
seed is featurised, run and written before it counts as done, so that an interrupted
job keeps its finished seeds. Seeds do not depend on each other (each has a random
state of its own), so the results are the same.
"""

import contextlib
import dataclasses
import functools
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from af3opt.base.atomic import atomic_write_text
from af3opt.base.errors import Af3optError, InputError
from af3opt.base.key import text_digest
from af3opt.base.logs import messages_of_job
from af3opt.engine.inputs import FoldInput, make_ccd, needs_search
from af3opt.engine.model import extract_distogram, extract_embeddings
from af3opt.engine.msa import DataPipeline
from af3opt.engine.outputs import terms_of_use
from af3opt.engine.refusals import featurising
from af3opt.execution.job.journal import RunJournal
from af3opt.execution.job.seed_files import SeedResult, write_seed_files
from af3opt.execution.job.session import Session
from af3opt.execution.planning.deadline import seed_workload
from af3opt.features.engine_features import Batch
from af3opt.features.featurise import JobFeatures
from af3opt.inference.compiled import COMPILED
from af3opt.numerics import NonFiniteError, infer_checked
from af3opt.numerics.checked import CheckedResult
from af3opt.numerics.extraction import extract_samples
from af3opt.numerics.safer import SaferNumerics, safer_numerics
from af3opt.output.record_builder import RecordBuilder
from af3opt.output.record_parts import seed_record
from af3opt.output.run_record import InputRecord, record_path
from af3opt.output.tree import JobTree, SampleScore, write_ranking
from af3opt.progress import JobReport
from af3opt.progress.stages import DATA_PIPELINE, EXTRACT, FEATURISE, INFERENCE, WRITE

_log = logging.getLogger(__name__)


class JobLostError(Af3optError):
    """The job belongs to another process now."""


@dataclasses.dataclass(kw_only=True)
class FoldJob:
    """A fold job in progress.

    Attributes:
        session: What all jobs share.
        source: File the input came from.
        fold_input: The engine's input; MSAs and templates are added by `search`.
        tree: Where its files go.
        run: Where finished seeds are recorded, None without resume.
        scores: Seed -> its ranked samples, finished seeds of earlier runs included.
        resources: Closed when the job ends (its claim).
        failure: Why the job cannot go on, "" while it can.
        lost: Another process has taken it over; `failure` says so.
        left: There was no time for all its seeds.
        seeds_run: Seeds written by this process.
        is_still_ours: Tells whether no other process has taken the job over.
    """

    session: Session
    source: Path
    fold_input: FoldInput
    tree: JobTree
    run: RunJournal | None = None
    scores: dict[int, tuple[SampleScore, ...]] = dataclasses.field(default_factory=dict)
    resources: contextlib.ExitStack = dataclasses.field(default_factory=contextlib.ExitStack)
    failure: str = ""
    lost: bool = False
    left: bool = False
    seeds_run: int = 0
    is_still_ours: Callable[[], bool] = lambda: True

    @property
    def name(self) -> str:
        """The job's name as the user gave it."""
        return str(self.fold_input.name)

    @functools.cached_property
    def ccd(self) -> Any:
        """The chemical component dictionary with this job's own components."""
        return make_ccd(self.fold_input.user_ccd)

    @functools.cached_property
    def report(self) -> JobReport:
        """Is told what happens to the job; the first use says that it begins."""
        return self.session.reporter.job_started(self.name)

    def announce(self) -> None:
        """Says that the job begins."""
        _ = self.report

    @functools.cached_property
    def record(self) -> RecordBuilder | None:
        """The run record in the making, None with `--norun_record` or without inference."""
        settings = self.session.settings
        if not (settings.run_record and settings.run_inference):
            return None
        record = RecordBuilder(
            self.session.facts,
            name=self.name,
            job_input=InputRecord(
                file=str(self.source),
                digest=self.resolved_digest(),
                tokens=None,
                padded_tokens=None,
            ),
        )
        if settings.resume:
            record.take_over(record_path(self.tree.root, self.tree.name))
        return record

    @functools.cached_property
    def _features(self) -> JobFeatures:
        """Shared by the job's seeds; made once MSAs and templates are filled in."""
        features = JobFeatures(
            self.fold_input,
            self.ccd,
            self.session.feature_options,
            cache=self.session.feature_cache,
        )
        self.resources.callback(features.close)
        return features

    def check(self, pipeline: DataPipeline | None) -> None:
        """Finds what is wrong with the input or missing for it before anything is written.

        Args:
            pipeline: The data pipeline, None when it is not to run.

        Raises:
            InputError: an MSA is missing that no data pipeline will search for.
            SetupError: a tool or database that is needed is missing.
        """
        if not needs_search(self.fold_input):
            return
        if pipeline is not None:
            pipeline.check()
        elif self.session.settings.run_inference:
            raise InputError(
                f"{self.source}: a chain has no MSA or templates and --norun_data_pipeline is set; "
                "run the data pipeline, or give unpairedMsa, pairedMsa and templates (may be empty)"
            )

    def search(self, pipeline: DataPipeline | None) -> None:
        """Fills in MSAs and templates."""
        if pipeline is None:
            _log.info("Skipping data pipeline...")
            return
        with self.report.stage(DATA_PIPELINE), messages_of_job(self.name):
            self.fold_input = pipeline.process(self.fold_input)

    def resolved_digest(self) -> str:
        """Digest of the input as it is now, whatever its seeds are."""
        return text_digest(dataclasses.replace(self.fold_input, rng_seeds=[0]).to_json())

    def write_data_json(self) -> None:
        """Writes `<name>_data.json` unless it is there with this content."""
        path, text = self.tree.data_json, self.fold_input.to_json()
        with contextlib.suppress(OSError, UnicodeDecodeError):
            if path.read_text(encoding="utf-8") == text:
                return
        _log.info("Writing model input JSON to %s", path)
        atomic_write_text(path, text)

    def missing_seeds(self) -> list[int]:
        """The seeds that are not done yet, in the input's order; recalls the others' scores."""
        missing = []
        for seed in self.fold_input.rng_seeds:
            record = self.run and self.run.seed_record(seed, self.tree.root)
            if record:
                self.scores[seed] = record.scores
            else:
                missing.append(seed)
        return missing

    def prepare(self) -> None:
        """Makes what the seeds share, once MSAs and templates are filled in.

        Raises:
            InputError: the input cannot be featurised.
        """
        with featurising(self.source), messages_of_job(self.name):
            _ = self._features
        _ = self.record

    def featurise(self, seed: int, upcoming: Sequence[int] = ()) -> Batch:
        """Returns the features of one seed, padded to its bucket.

        After `prepare`, several threads may do this for seeds of one job.

        Args:
            seed: The seed.
            upcoming: Seeds that come next; their conformers may be begun meanwhile.

        Raises:
            InputError: the engine refuses the input.
        """
        with (
            self.report.stage(FEATURISE, seed),
            featurising(self.source),
            messages_of_job(self.name),
        ):
            features = self._features.features(seed, upcoming)
        if self.session.feature_cache is not None:
            self.report.cache_used(
                "features", hit=features.from_cache, seconds_saved=features.seconds_saved
            )
        batch = features.batch
        padded = int(batch["token_index"].shape[0])
        self.report.workload = seed_workload(
            self.session.settings, self.session.device_label, padded
        )
        if self.record is not None:
            self.record.set_tokens(int(batch["seq_length"]), padded)
        return batch

    def infer(self, batch: Batch, seed: int, samples_at_once: int | None = None) -> CheckedResult:
        """Runs the model on one seed and checks the numbers.

        Args:
            batch: The seed's features.
            seed: The seed.
            samples_at_once: Most samples to compute together, None for all.

        Raises:
            NonFiniteError: values are not finite and `--on_nonfinite=fail`.
            DeviceMemoryError: the device's memory is too small.
        """
        runner = self.session.runner

        def compute(changes: SaferNumerics | None) -> Mapping[str, Any]:
            if changes is None:
                return runner.run_inference(batch, seed, samples_at_once)
            with self.session.safer_runner(changes) as safer:
                return safer.run_inference(batch, seed, samples_at_once)

        compiled_before, once_before = len(runner.compile_reports), runner.once_seconds
        with self.report.stage(INFERENCE, seed) as words:
            checked = infer_checked(
                compute,
                batch,
                seed=seed,
                handler=self.session.numerics,
                safer=safer_numerics(runner.config, self.session.active_optimizations),
            )
            words["once"] = runner.once_seconds - once_before
        for report in runner.compile_reports[compiled_before:]:
            self.report.cache_used(
                "compile", hit=report.origin != COMPILED, seconds_saved=report.seconds_saved
            )
        return checked

    def extract(
        self, checked: CheckedResult, batch: Batch, seed: int, seconds: float
    ) -> SeedResult:
        """Makes structures and scores of a model result; needs no device.

        Args:
            checked: From `infer`.
            batch: The seed's features.
            seed: The seed.
            seconds: Time its featurisation and the model took.
        """
        start = time.monotonic()
        with self.report.stage(EXTRACT, seed) as words:
            samples = extract_samples(checked, batch, self.name)
            words["samples"] = len(samples.ranked)
            tokens = int(batch["seq_length"])
            return SeedResult(
                checked=checked,
                samples=samples,
                embeddings=extract_embeddings(checked.result, tokens) or {},
                distogram=extract_distogram(checked.result, tokens),
                seconds=seconds + time.monotonic() - start,
            )

    def write_seed(self, result: SeedResult) -> None:
        """Writes a seed's directories, each complete or absent; then it counts as done.

        Raises:
            JobLostError: another process has taken the job over.
            OSError: the job's directory cannot be written.
        """
        if not self.is_still_ours():
            raise JobLostError(
                f"{self.name}: another process took it over, since this one was stopped for long"
            )
        seed, start = result.seed, time.monotonic()
        with self.report.stage(WRITE, seed):
            written = write_seed_files(
                result, self.tree, self.session.settings, synthetic=self.session.synthetic
            )
            self.scores[seed] = written.scores
            self.seeds_run += 1
            self.write_ranking()
            if self.record is not None:
                self.record.add_seed(seed_record(result.checked, written.records))
                self._write_record(self.record, "incomplete")
            if self.run is not None:
                seconds = result.seconds + time.monotonic() - start
                self.run.finish_seed(
                    seed, self.tree.root, written.directories, written.scores, seconds
                )

    def write_ranking(self) -> None:
        """Rewrites the files that depend on all finished seeds."""
        order = [seed for seed in self.fold_input.rng_seeds if seed in self.scores]
        write_ranking(self.tree, [score for seed in order for score in self.scores[seed]])
        terms = terms_of_use() if self.session.settings.save_terms_of_use else None
        if terms is not None:
            atomic_write_text(self.tree.root / "TERMS_OF_USE.md", terms)

    def check_ranking(self) -> None:
        """Finds out whether there is a result, once all seeds are done.

        Raises:
            NonFiniteError: no sample of any seed could be ranked.
        """
        if self.scores and not any(self.scores.values()):
            raise NonFiniteError(
                f"no sample of its {len(self.scores)} seed(s) is finite, so none is ranked; they "
                f"are in {self.tree.root}/seed-*; --noresume --debug_numerics runs it again and "
                "finds the first stage that is not finite"
            )

    def recall_record(self, seeds: Sequence[int]) -> None:
        """Keeps of the seeds that earlier processes recorded those that are finished."""
        if self.record is not None:
            self.record.keep_seeds(set(seeds))

    def finish(self, status: str) -> None:
        """Says and records how the job ended.

        Args:
            status: "done", "failed" or "incomplete".

        Raises:
            OSError: the record cannot be written.
        """
        if status == "done":
            self.report.finished(self.tree.root)
        elif status == "failed":
            self.report.failed(self.failure)
        if self.record is not None and self.tree.root.is_dir():
            self._write_record(self.record, status)
        if self.session.settings.report and self.scores:
            self._write_report()
        if self.session.reporter.memory is not None:
            self.session.reporter.memory.cleanup()

    def _write_report(self) -> None:
        from af3opt.report import write_report

        try:
            _log.info("Report written to %s", write_report(self.tree.root))
        except (Af3optError, OSError) as error:
            _log.warning("%s: no report: %s", self.name, error)

    def _write_record(self, record: RecordBuilder, status: str) -> None:
        record.write(
            record_path(self.tree.root, self.tree.name),
            status=status,
            reason=self.failure,
            stages=self.report.stage_records(),
            caches=self.report.cache_records(),
        )
