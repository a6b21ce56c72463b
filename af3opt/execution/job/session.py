"""What all jobs of one process share: engine, tools, model, and what identifies them."""

import contextlib
import dataclasses
import functools
import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

from af3opt.base.version import deciding_versions
from af3opt.data.bootstrap import bootstrap_engine
from af3opt.data.synthetic_weights import read_manifest
from af3opt.engine.discovery import EngineInfo, find_engine
from af3opt.engine.msa import DataPipeline
from af3opt.engine.outputs import SYNTHETIC_NOTE
from af3opt.environment.backend import Backend
from af3opt.environment.startup import Startup
from af3opt.execution.job.identity import (
    Computing,
    Identity,
    data_identity,
    run_identity,
)
from af3opt.execution.job.weights_digest import weights_digest
from af3opt.execution.planning.deadline import device_label
from af3opt.features.cache import FeatureCache
from af3opt.features.msa_cache import MsaCache
from af3opt.features.options import FeatureOptions
from af3opt.inference.buckets import choose_buckets
from af3opt.inference.model_runner import ModelRunner, create_model_runner
from af3opt.inference.weights_format import WeightFiles, find_weight_files
from af3opt.numerics import NonFinitePolicy, NumericsHandler
from af3opt.numerics.safer import SaferNumerics
from af3opt.numerics.stages import StageProbe
from af3opt.optimizations import ActiveOptimization, activate, permitted
from af3opt.optimizations.base import Context
from af3opt.optimizations.choice import choose_context
from af3opt.output.record_builder import RunFacts
from af3opt.output.record_parts import (
    all_settings,
    backend_record,
    engine_record,
    environment_record,
    host_record,
)
from af3opt.output.run_record import OptimizationRecord, WeightsRecord
from af3opt.progress import Reporter
from af3opt.settings.settings import Settings

_log = logging.getLogger(__name__)


class RunnerFactory(Protocol):
    """Makes the model runner of a session; see `create_model_runner`."""

    def __call__(
        self,
        engine: Any,
        settings: Settings,
        backend: str,
        device_index: int = 0,
        *,
        optimizations: tuple[str, ...] = (),
    ) -> ModelRunner:
        """Makes a runner that has read and compiled nothing yet."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Session:
    """Shared state of the jobs; expensive parts are made at first use.

    Attributes:
        settings: All settings.
        startup: What was found and set before JAX was imported.
        output_dir: Directory of the job directories.
        make_runner: Makes the model.
        reporter: Is told what happens.
    """

    settings: Settings
    startup: Startup
    output_dir: Path
    make_runner: RunnerFactory = create_model_runner
    reporter: Reporter = dataclasses.field(default_factory=Reporter)

    @property
    def backend(self) -> Backend:
        """Where the model runs."""
        return self.startup.backend

    @functools.cached_property
    def engine_info(self) -> EngineInfo:
        """The installed engine, found without importing it."""
        return find_engine()

    @functools.cached_property
    def engine(self) -> EngineInfo:
        """The engine, imported."""
        engine = bootstrap_engine(defer_kernels=self.backend.name == "cpu")
        _log.info("Engine: %s", engine.label)
        return engine

    @functools.cached_property
    def buckets(self) -> tuple[int, ...]:
        """Token counts that inputs are padded to."""
        return choose_buckets(self.settings, self.backend.name)

    @functools.cached_property
    def synthetic(self) -> bool:
        """Whether results come from synthetic weights and must say so."""
        return self.settings.run_inference and read_manifest(self.settings.model_dir) is not None

    @functools.cached_property
    def pipeline(self) -> DataPipeline | None:
        """The data pipeline, None when it is not to run."""
        if not self.settings.run_data_pipeline:
            return None
        cache = MsaCache.from_settings(self.settings)
        return DataPipeline(self.settings, cache.wrap if cache is not None else None)

    @functools.cached_property
    def runner(self) -> ModelRunner:
        """The model; its weights are usable, and loaded or about to be."""
        _ = self.numerics  # Its probe must be in place before anything is compiled.
        runner = self._new_runner(self.settings)
        _log.info("Checking that model parameters can be loaded...")
        runner.describe_weights()
        if self.synthetic:
            _log.warning("%s", SYNTHETIC_NOTE)
        if self.reporter.memory is not None:
            gpu = self.backend.gpu
            self.reporter.memory.watch_device(runner.device, gpu.uuid if gpu else None)
        return runner

    def _new_runner(self, settings: Settings) -> ModelRunner:
        return self.make_runner(
            self.engine,
            dataclasses.replace(
                settings, flash_attention_implementation=self.backend.flash_attention
            ),
            self.backend.name,
            settings.gpu_device,
            optimizations=tuple(one.name for one in self.active_optimizations),
        )

    @functools.cached_property
    def optimizations(self) -> tuple[ActiveOptimization, ...]:
        """What was considered for this backend; those in force change the engine."""
        _ = self.engine
        return activate(self.settings, self._context)

    @property
    def active_optimizations(self) -> tuple[ActiveOptimization, ...]:
        """Those in force."""
        return tuple(one for one in self.optimizations if one.active)

    @functools.cached_property
    def _context(self) -> Context:
        return choose_context(self.settings, self.startup.host, self.backend)

    @contextlib.contextmanager
    def safer_runner(self, changes: SaferNumerics) -> Iterator[ModelRunner]:
        """Gives a second model for a seed whose values were not finite.

        Args:
            changes: What it does differently from `runner`.
        """
        disabled = (*self.settings.disable_optimizations, *changes.disabled)
        settings = dataclasses.replace(self.settings, disable_optimizations=disabled)
        safer = activate(settings, self._context)
        try:
            names = tuple(one.name for one in safer if one.active)
            yield self.runner.variant(changes.config_overrides, names)
        finally:
            activate(self.settings, self._context)

    @functools.cached_property
    def device_label(self) -> str:
        """The kind of device, for learned times."""
        return device_label(self.backend, self.settings.model_dir)

    @functools.cached_property
    def numerics(self) -> NumericsHandler:
        """Applies `--on_nonfinite`."""
        probe = None
        if self.settings.debug_numerics:
            _ = self.engine
            probe = StageProbe()
            probe.install()
        return NumericsHandler(NonFinitePolicy(self.settings.on_nonfinite), probe=probe)

    @functools.cached_property
    def feature_cache(self) -> FeatureCache | None:
        """Where features are kept between runs, None with `--nofeature_cache`."""
        return FeatureCache.from_settings(self.settings)

    @functools.cached_property
    def feature_options(self) -> FeatureOptions:
        """What decides the features besides the input."""
        return FeatureOptions.from_settings(self.settings, self.buckets)

    @functools.cached_property
    def facts(self) -> RunFacts:
        """What the run records of all jobs have in common."""
        inference = self.settings.run_inference
        return RunFacts(
            command=sys.orig_argv,
            engine=engine_record(self.engine_info),
            weights=self._weights_record() if inference else None,
            host=host_record(self.startup.host, self.backend),
            backend=backend_record(self.backend, self.runner.device) if inference else None,
            settings=all_settings(self.settings),
            environment=environment_record(self.startup.variables),
            optimizations=[
                OptimizationRecord(**dataclasses.asdict(one)) for one in self.optimizations
            ]
            if inference
            else (),
        )

    def _weights_record(self) -> WeightsRecord:
        return WeightsRecord(
            directory=str(self.settings.model_dir),
            digest=self._weights_digest,
            synthetic=self.synthetic,
        )

    @functools.cached_property
    def permitted_optimizations(self) -> tuple[str, ...]:
        """Optimisations that may change results, as far as settings and backend decide.

        Whether the engine suits them follows from its fingerprint, so it need not be
        imported to tell whether a job is done.
        """
        context = self._context
        precisions = (
            f"trunk {context.trunk_precision}",
            f"diffusion {context.diffusion_precision}",
        )
        return (*permitted(self.settings, context), *precisions)

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

    def run_identity(self, resolved_input: str, first_seed: int) -> Identity:
        """The identity of a job's inference under these settings.

        Args:
            resolved_input: Digest of the input with MSAs and templates filled in.
            first_seed: The first of its seeds.

        Raises:
            SetupError: there are no weights to digest.
        """
        return run_identity(
            self.settings, self._computing, resolved_input=resolved_input, first_seed=first_seed
        )

    @functools.cached_property
    def _computing(self) -> Computing:
        return Computing(
            weights=self._weights_digest,
            engine=self.engine_info.fingerprint,
            backend=self.backend.name,
            buckets=self.buckets,
            optimisations=self.permitted_optimizations,
            versions=deciding_versions(),
        )
