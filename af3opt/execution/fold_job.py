"""One fold job from its input to its files, stage by stage, seed by seed.

Upstream featurises all seeds, runs all seeds, then writes everything. Here each
seed is featurised, run and written before it counts as done, so that an interrupted
job keeps its finished seeds. Seeds do not depend on each other (each has a random
state of its own), so the results are the same.
"""

import contextlib
import dataclasses
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from af3opt.engine.features import Batch, featurise_with_engine, make_ccd
from af3opt.engine.inputs import (
    FoldInput,
    check_fold_input,
    needs_search,
)
from af3opt.engine.model import (
    extract_distogram,
    extract_embeddings,
    extract_inference_results,
)
from af3opt.engine.msa import DataPipeline
from af3opt.engine.outputs import (
    SYNTHETIC_NOTE,
    InferenceResult,
    terms_of_use,
    write_distogram,
    write_embeddings,
    write_sample,
)
from af3opt.engine.results import count_tokens, pdb_atoms
from af3opt.errors import Af3optError, InputError
from af3opt.execution.identity import text_digest
from af3opt.execution.journal import RunJournal
from af3opt.inference.model_runner import ModelRunner
from af3opt.output.atomic import atomic_directory, atomic_write_text
from af3opt.output.pdb import PdbLimitError, pdb_text
from af3opt.output.tree import JobTree, SampleScore, write_ranking
from af3opt.settings import Settings

_log = logging.getLogger(__name__)


class JobLostError(Af3optError):
    """The job belongs to another process now."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SeedResult:
    """What one seed gave.

    Attributes:
        seed: The seed.
        samples: The engine's result objects, one for each diffusion sample.
        embeddings: Arrays to save, empty when not asked for.
        distogram: (tokens, tokens, 64), or None when not asked for.
        started: `time.monotonic()` when the seed's featurisation began.
    """

    seed: int
    samples: list[InferenceResult]
    embeddings: dict[str, Any]
    distogram: Any
    started: float


@dataclasses.dataclass(kw_only=True)
class FoldJob:
    """A fold job in progress.

    Attributes:
        settings: All settings.
        source: File the input came from.
        fold_input: The engine's input; MSAs and templates are added by `search`.
        tree: Where its files go.
        buckets: Token counts to pad to.
        synthetic: Whether the weights are synthetic, so that results say so.
        run: Where finished seeds are recorded, None without resume.
        scores: Seed -> its ranked samples, finished seeds of earlier runs included.
        resources: Closed when the job ends (its claim).
        failure: Why the job cannot go on, "" while it can.
        left: There was no time for all its seeds.
        seeds_run: Seeds written by this process.
        is_still_ours: Tells whether no other process has taken the job over.
    """

    settings: Settings
    source: Path
    fold_input: FoldInput
    tree: JobTree
    buckets: tuple[int, ...]
    synthetic: bool
    run: RunJournal | None = None
    scores: dict[int, tuple[SampleScore, ...]] = dataclasses.field(default_factory=dict)
    resources: contextlib.ExitStack = dataclasses.field(default_factory=contextlib.ExitStack)
    failure: str = ""
    left: bool = False
    seeds_run: int = 0
    is_still_ours: Callable[[], bool] = lambda: True
    _ccd: Any = None

    @property
    def name(self) -> str:
        """The job's name as the user gave it."""
        return str(self.fold_input.name)

    @property
    def ccd(self) -> Any:
        """The chemical component dictionary with this job's own components."""
        if self._ccd is None:
            self._ccd = make_ccd(self.fold_input.user_ccd)
        return self._ccd

    def check(self, pipeline: DataPipeline | None) -> None:
        """Finds what is wrong with the input or missing for it before anything is written.

        Args:
            pipeline: The data pipeline, None when it is not to run.

        Raises:
            InputError: see `check_fold_input`; or an MSA is missing that no data
                pipeline will search for.
            SetupError: a tool or database that is needed is missing.
        """
        check_fold_input(self.fold_input, self.ccd, self.source)
        if not needs_search(self.fold_input):
            return
        if pipeline is not None:
            pipeline.check()
        elif self.settings.run_inference:
            raise InputError(
                f"{self.source}: a chain has no MSA or templates and --norun_data_pipeline is set; "
                "run the data pipeline, or give unpairedMsa, pairedMsa and templates (may be empty)"
            )

    def search(self, pipeline: DataPipeline | None) -> None:
        """Fills in MSAs and templates."""
        if pipeline is None:
            _log.info("Skipping data pipeline...")
            return
        _log.info("Running data pipeline...")
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

    def featurise(self, seed: int) -> Batch:
        """Returns the features of one seed, padded to its bucket."""
        start = time.monotonic()
        _log.info("Featurising data with seed %d.", seed)
        batch = featurise_with_engine(self.fold_input, seed, self.ccd, self.buckets, self.settings)
        _log.info("Featurising data with seed %d took %.2f seconds.", seed, _since(start))
        return batch

    def infer(self, batch: Batch, seed: int, runner: ModelRunner, started: float) -> SeedResult:
        """Runs the model on one seed and extracts its samples."""
        start = time.monotonic()
        _log.info("Running model inference with seed %d...", seed)
        result = runner.run_inference(batch, seed)
        _log.info("Running model inference with seed %d took %.2f seconds.", seed, _since(start))
        start = time.monotonic()
        _log.info("Extracting inference results with seed %d...", seed)
        samples = extract_inference_results(batch, result, self.name)
        tokens = count_tokens(samples[0])
        extracted = SeedResult(
            seed=seed,
            samples=samples,
            embeddings=extract_embeddings(result, tokens) or {},
            distogram=extract_distogram(result, tokens),
            started=started,
        )
        _log.info(
            "Extracting %d inference samples with seed %d took %.2f seconds.",
            len(samples), seed, _since(start),
        )  # fmt: skip
        return extracted

    def write_seed(self, result: SeedResult) -> None:
        """Writes a seed's directories, each complete or absent; then it counts as done."""
        if not self.is_still_ours():
            raise JobLostError(
                f"{self.name}: another process took it over, since this one was stopped for long"
            )
        seed, written, scores = result.seed, [], []
        for index, sample in enumerate(result.samples):
            directory = self.tree.sample_dir(seed, index)
            with atomic_directory(directory) as scratch:
                self._write_sample(sample, scratch, self.tree.sample_name(seed, index))
            written.append(directory)
            scores.append(SampleScore(seed, index, float(sample.metadata["ranking_score"])))
        if result.embeddings:
            written.append(self.tree.extra_dir(seed, "embeddings"))
            with atomic_directory(written[-1]) as scratch:
                write_embeddings(result.embeddings, scratch, self.tree.extra_name(seed))
        if result.distogram is not None:
            written.append(self.tree.extra_dir(seed, "distogram"))
            with atomic_directory(written[-1]) as scratch:
                write_distogram(result.distogram, scratch, self.tree.extra_name(seed))
        self.scores[seed] = tuple(scores)
        self.seeds_run += 1
        self.write_ranking()
        if self.run is not None:
            self.run.finish_seed(seed, self.tree.root, written, scores, _since(result.started))

    def write_ranking(self) -> None:
        """Rewrites the files that depend on all finished seeds."""
        order = [seed for seed in self.fold_input.rng_seeds if seed in self.scores]
        write_ranking(self.tree, [score for seed in order for score in self.scores[seed]])
        terms = terms_of_use() if self.settings.save_terms_of_use else None
        if terms is not None:
            atomic_write_text(self.tree.root / "TERMS_OF_USE.md", terms)

    def _write_sample(self, sample: InferenceResult, directory: Path, name: str) -> None:
        write_sample(
            sample,
            directory,
            name,
            compress=self.settings.compress_large_output_files,
            keep_license=self.settings.save_terms_of_use,
            synthetic=self.synthetic,
        )
        if self.settings.save_pdb:
            remarks = [SYNTHETIC_NOTE] if self.synthetic else []
            try:
                text = pdb_text(pdb_atoms(sample), remarks)
            except PdbLimitError as error:
                _log.warning("%s: no PDB file: %s; use the mmCIF file", name, error)
            else:
                (directory / f"{name}_model.pdb").write_text(text)


def _since(start: float) -> float:
    return time.monotonic() - start
