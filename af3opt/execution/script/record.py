"""The run records of a script's jobs, from what is seen of them."""

import dataclasses
import functools
import logging
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from af3opt.engine.discovery import EngineInfo
from af3opt.engine.protocols import FoldInput, InferenceResult
from af3opt.environment.startup import Startup
from af3opt.execution.job.loading import resolved_digest
from af3opt.features.engine_features import Batch
from af3opt.optimizations import ActiveOptimization
from af3opt.output.record_builder import RecordBuilder
from af3opt.output.record_parts import (
    all_settings,
    backend_record,
    engine_record,
    environment_record,
    host_record,
    ranked_sample_record,
)
from af3opt.output.run_record import (
    InputRecord,
    OptimizationRecord,
    RunFacts,
    SampleRecord,
    SeedRecord,
    StageRecord,
    WeightsRecord,
    record_path,
)
from af3opt.settings.settings import Settings

_log = logging.getLogger(__name__)

_SAMPLE = re.compile(r"seed-(\d+)_sample-(\d+)")


class ScriptRecords:
    """Writes a job's record when its best sample is written, which upstream does last."""

    def __init__(self, facts: Callable[[], RunFacts], source: str) -> None:
        """Begins without a job.

        Args:
            facts: What is common to all records.
            source: The input file or directory as the user gave it.
        """
        self._facts = functools.cache(facts)
        self._source = source
        self._builder: RecordBuilder | None = None
        self._seeds: Sequence[int] = ()
        self._samples: dict[int, list[SampleRecord]] = {}
        self._stages: list[StageRecord] = []

    def featurised(self, fold_input: FoldInput, batches: Sequence[Batch], seconds: float) -> None:
        """A job begins: its input has been featurised."""
        sizes = [(int(np.count_nonzero(b["seq_mask"])), b["token_index"].shape[0]) for b in batches]
        tokens, padded = sizes[0] if sizes else (None, None)
        self._builder = RecordBuilder(
            self._facts(),
            name=fold_input.name,
            job_input=InputRecord(
                file=self._source,
                digest=resolved_digest(fold_input),
                tokens=tokens,
                padded_tokens=padded,
            ),
        )
        self._seeds = list(fold_input.rng_seeds)
        self._samples = {}
        self._stages = [StageRecord(name="featurise", seed=None, seconds=round(seconds, 3))]

    def inferred(self, seconds: float) -> None:
        """The next seed of the job has gone through the model."""
        done = sum(stage.name == "inference" for stage in self._stages)
        seed = self._seeds[done] if done < len(self._seeds) else None
        self._stages.append(StageRecord(name="inference", seed=seed, seconds=round(seconds, 3)))

    def written(self, result: InferenceResult, directory: Path, name: str | None) -> None:
        """A sample has been written, or the best one, which ends the job."""
        if self._builder is None:
            return
        sample = _SAMPLE.fullmatch(directory.name)
        if sample is not None:
            seed, index = int(sample[1]), int(sample[2])
            record = ranked_sample_record(index, directory.name, result)
            finite = bool(np.isfinite(result.predicted_structure.coords).all())
            if not finite:
                _log.warning("%s: some coordinates are not finite", directory)
            record = dataclasses.replace(record, finite=finite)
            self._samples.setdefault(seed, []).append(record)
            return
        for seed, samples in self._samples.items():
            self._builder.add_seed(SeedRecord(seed=seed, numerics=None, samples=samples))
        # Older engines name no files.
        path = record_path(directory, name or directory.name)
        try:
            self._builder.write(path, status="done", stages=self._stages)
        except OSError as error:
            _log.warning("No run record: %s", error)
        self._builder = None


def script_facts(
    settings: Settings,
    startup: Startup,
    engine: EngineInfo,
    considered: Sequence[ActiveOptimization],
    weights: Callable[[], WeightsRecord],
) -> RunFacts:
    """What the records of all jobs of a script have in common.

    Args:
        settings: All settings.
        startup: The machine, and what was set.
        engine: The engine.
        considered: All optimisations.
        weights: Gives what is recorded of the weights.
    """
    return RunFacts(
        command=sys.orig_argv,
        engine=engine_record(engine),
        weights=weights(),
        host=host_record(startup.host, startup.backend),
        backend=backend_record(startup.backend, None),
        settings=all_settings(settings),
        environment=environment_record(startup.variables),
        optimizations=[OptimizationRecord(**dataclasses.asdict(one)) for one in considered],
    )
