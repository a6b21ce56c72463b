"""What all jobs of one process share: engine, tools, model, and the right to go on."""

import dataclasses
import functools
import logging
import time
from pathlib import Path

from af3opt.backend import Backend
from af3opt.data.synthetic_weights import read_manifest
from af3opt.engine.discovery import EngineInfo
from af3opt.engine.msa import DataPipeline
from af3opt.engine.outputs import SYNTHETIC_NOTE
from af3opt.execution.identity import Identity, input_digest, run_identity
from af3opt.inference.model_runner import ModelRunner, create_model_runner
from af3opt.options.upstream import DEFAULT_BUCKETS
from af3opt.settings import Settings

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Session:
    """Shared state of the jobs; expensive parts are made at first use.

    Attributes:
        settings: All settings.
        backend: Where the model runs.
        engine: The engine found.
        output_dir: Directory of the job directories.
    """

    settings: Settings
    backend: Backend
    engine: EngineInfo
    output_dir: Path

    @functools.cached_property
    def buckets(self) -> tuple[int, ...]:
        """Token counts that inputs are padded to."""
        return self.settings.buckets or DEFAULT_BUCKETS

    @functools.cached_property
    def synthetic(self) -> bool:
        """Whether results come from synthetic weights and must say so."""
        return self.settings.run_inference and read_manifest(self.settings.model_dir) is not None

    @functools.cached_property
    def pipeline(self) -> DataPipeline | None:
        """The data pipeline, None when it is not to run."""
        return DataPipeline(self.settings) if self.settings.run_data_pipeline else None

    @functools.cached_property
    def runner(self) -> ModelRunner:
        """The model with its weights loaded."""
        runner = create_model_runner(
            self.engine,
            dataclasses.replace(
                self.settings, flash_attention_implementation=self.backend.flash_attention
            ),
            self.backend.name,
            self.settings.gpu_device,
        )
        _log.info("Checking that model parameters can be loaded...")
        start = time.monotonic()
        runner.load()
        _log.info("Loading model parameters took %.2f seconds.", time.monotonic() - start)
        if self.synthetic:
            _log.warning("%s", SYNTHETIC_NOTE)
        return runner

    @functools.cached_property
    def weights_digest(self) -> str | None:
        """Digest of the weights, None when inference is not run."""
        return self.runner.load().sha256 if self.settings.run_inference else None

    def identity(self, path: Path, position: int) -> Identity:
        """The identity of a job's run under these settings."""
        return run_identity(
            self.settings,
            input_digest=input_digest(path, position),
            weights_digest=self.weights_digest,
            engine_fingerprint=self.engine.fingerprint,
            backend=self.backend.name,
            buckets=self.buckets,
            optimisations=(),
        )
