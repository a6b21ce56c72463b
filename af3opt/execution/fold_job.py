"""One fold job from its input to its files, stage by stage, seed by seed.

Upstream featurises all seeds, runs all seeds, then writes everything. Here each
seed is featurised, run and written before the next begins, so that an interrupted
job keeps its finished seeds. Seeds do not depend on each other (each has a random
state of its own), so the results are the same.
"""

import dataclasses
import logging
import time
from pathlib import Path
from typing import Any

from af3opt.engine.features import Batch, featurise_with_engine, make_ccd
from af3opt.engine.inputs import FoldInput, check_fold_input
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
from af3opt.inference.model_runner import ModelRunner
from af3opt.output.atomic import atomic_directory, atomic_write_text
from af3opt.output.pdb import PdbLimitError, pdb_text
from af3opt.output.tree import JobTree, SampleScore, write_ranking
from af3opt.settings import Settings

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SeedResult:
    """What one seed gave.

    Attributes:
        seed: The seed.
        samples: The engine's result objects, one for each diffusion sample.
        embeddings: Arrays to save, empty when not asked for.
        distogram: (tokens, tokens, 64), or None when not asked for.
    """

    seed: int
    samples: list[InferenceResult]
    embeddings: dict[str, Any]
    distogram: Any


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
    """

    settings: Settings
    source: Path
    fold_input: FoldInput
    tree: JobTree
    buckets: tuple[int, ...]
    synthetic: bool
    scores: list[SampleScore] = dataclasses.field(default_factory=list)
    _ccd: Any = None

    @property
    def ccd(self) -> Any:
        """The chemical component dictionary with this job's own components."""
        if self._ccd is None:
            self._ccd = make_ccd(self.fold_input.user_ccd)
        return self._ccd

    def check(self) -> None:
        """Finds errors of the input before anything is written.

        Raises:
            InputError: see `check_fold_input`.
        """
        check_fold_input(self.fold_input, self.ccd, self.source)

    def search(self, pipeline: DataPipeline | None) -> None:
        """Fills in MSAs and templates and writes `<name>_data.json`."""
        if pipeline is None:
            _log.info("Skipping data pipeline...")
        else:
            _log.info("Running data pipeline...")
            self.fold_input = pipeline.process(self.fold_input)
        self.tree.root.mkdir(parents=True, exist_ok=True)
        _log.info("Writing model input JSON to %s", self.tree.data_json)
        atomic_write_text(self.tree.data_json, self.fold_input.to_json())

    def featurise(self, seed: int) -> Batch:
        """Returns the features of one seed, padded to its bucket."""
        start = time.monotonic()
        _log.info("Featurising data with seed %d.", seed)
        batch = featurise_with_engine(self.fold_input, seed, self.ccd, self.buckets, self.settings)
        _log.info("Featurising data with seed %d took %.2f seconds.", seed, _since(start))
        return batch

    def infer(self, batch: Batch, seed: int, runner: ModelRunner) -> SeedResult:
        """Runs the model on one seed and extracts its samples."""
        start = time.monotonic()
        _log.info("Running model inference with seed %d...", seed)
        result = runner.run_inference(batch, seed)
        _log.info("Running model inference with seed %d took %.2f seconds.", seed, _since(start))
        start = time.monotonic()
        _log.info("Extracting inference results with seed %d...", seed)
        samples = extract_inference_results(batch, result, self.fold_input.name)
        tokens = count_tokens(samples[0])
        extracted = SeedResult(
            seed=seed,
            samples=samples,
            embeddings=extract_embeddings(result, tokens) or {},
            distogram=extract_distogram(result, tokens),
        )
        _log.info(
            "Extracting %d inference samples with seed %d took %.2f seconds.",
            len(samples), seed, _since(start),
        )  # fmt: skip
        return extracted

    def write_seed(self, result: SeedResult) -> None:
        """Writes a seed's directories, each complete or absent, then the ranking."""
        seed = result.seed
        for index, sample in enumerate(result.samples):
            with atomic_directory(self.tree.sample_dir(seed, index)) as directory:
                self._write_sample(sample, directory, self.tree.sample_name(seed, index))
            score = float(sample.metadata["ranking_score"])
            self.scores.append(SampleScore(seed, index, score))
        if result.embeddings:
            with atomic_directory(self.tree.extra_dir(seed, "embeddings")) as directory:
                write_embeddings(result.embeddings, directory, self.tree.extra_name(seed))
        if result.distogram is not None:
            with atomic_directory(self.tree.extra_dir(seed, "distogram")) as directory:
                write_distogram(result.distogram, directory, self.tree.extra_name(seed))
        self._write_summary()

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

    def _write_summary(self) -> None:
        write_ranking(self.tree, self.scores)
        terms = terms_of_use() if self.settings.save_terms_of_use else None
        if terms is not None:
            atomic_write_text(self.tree.root / "TERMS_OF_USE.md", terms)


def _since(start: float) -> float:
    return time.monotonic() - start
