"""What all jobs of one process share: engine, tools, model, and what identifies them."""

import dataclasses
import functools
import logging
import time
from pathlib import Path
from typing import Any, Protocol

from af3opt.backend import Backend
from af3opt.data.synthetic_weights import read_manifest
from af3opt.engine.bootstrap import bootstrap_engine
from af3opt.engine.discovery import EngineInfo, find_engine
from af3opt.engine.msa import DataPipeline
from af3opt.engine.outputs import SYNTHETIC_NOTE
from af3opt.execution.identity import Identity, data_identity, run_identity
from af3opt.execution.weights_identity import weights_digest
from af3opt.inference.model_runner import ModelRunner, create_model_runner
from af3opt.inference.weights_format import WeightFiles, find_weight_files
from af3opt.options.upstream import DEFAULT_BUCKETS
from af3opt.settings import Settings

_log = logging.getLogger(__name__)


class RunnerFactory(Protocol):
    """Makes the model runner of a session; see `create_model_runner`."""

    def __call__(
        self, engine: Any, settings: Settings, backend: str, device_index: int = 0
    ) -> ModelRunner:
        """Makes a runner that has read and compiled nothing yet."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Session:
    """Shared state of the jobs; expensive parts are made at first use.

    Attributes:
        settings: All settings.
        backend: Where the model runs.
        output_dir: Directory of the job directories.
        make_runner: Makes the model.
    """

    settings: Settings
    backend: Backend
    output_dir: Path
    make_runner: RunnerFactory = create_model_runner

    @functools.cached_property
    def engine_info(self) -> EngineInfo:
        """The installed engine, found without importing it."""
        return find_engine()

    @functools.cached_property
    def engine(self) -> EngineInfo:
        """The engine, imported."""
        engine = bootstrap_engine()
        _log.info("Engine: %s", engine.label)
        return engine

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
        runner = self.make_runner(
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
    def optimisations(self) -> tuple[str, ...]:
        """Names of the active optimisations that can change results."""
        return ()

    @functools.cached_property
    def _weights_digest(self) -> str:
        return weights_digest(self.settings.model_dir, self._find_weight_files)

    def _find_weight_files(self, model_dir: Path) -> WeightFiles:
        _ = self.engine  # Knows which files of the directory count.
        return find_weight_files(model_dir)

    def data_identity(self, input_digest: str, *, searched: bool) -> Identity:
        """The identity of a job's MSAs and templates under these settings."""
        return data_identity(
            self.settings,
            input_digest=input_digest,
            engine_fingerprint=self.engine_info.fingerprint,
            searched=searched,
        )

    def run_identity(self, resolved_input: str) -> Identity:
        """The identity of a job's inference under these settings.

        Raises:
            SetupError: there are no weights to digest.
        """
        return run_identity(
            self.settings,
            resolved_input=resolved_input,
            weights_digest=self._weights_digest,
            engine_fingerprint=self.engine_info.fingerprint,
            backend=self.backend.name,
            buckets=self.buckets,
            optimisations=self.optimisations,
        )
