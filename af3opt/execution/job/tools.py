"""What the jobs of a process work with, started once and in order: engine, search, model."""

import dataclasses
import functools
import logging
import sys
from collections.abc import Callable

from af3opt.engine.discovery import EngineInfo
from af3opt.engine.msa import DataPipeline
from af3opt.engine.outputs import SYNTHETIC_NOTE
from af3opt.engine.protocols import Features, ModelResult
from af3opt.execution.job.session import Session
from af3opt.features.cache import FeatureCache
from af3opt.features.msa_cache import MsaCache
from af3opt.features.options import FeatureOptions
from af3opt.inference.model_runner import ModelRunner
from af3opt.numerics import NonFinitePolicy, NumericsHandler
from af3opt.numerics.safer import SaferNumerics, safer_numerics
from af3opt.numerics.stages import StageProbe
from af3opt.optimizations import ActiveOptimization, activate, activated_instead
from af3opt.output.record_parts import (
    all_settings,
    backend_record,
    engine_record,
    environment_record,
    host_record,
)
from af3opt.output.run_record import OptimizationRecord, RunFacts, WeightsRecord
from af3opt.settings.settings import Settings

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, slots=True)
class Model:
    """The model, ready to run.

    Attributes:
        session: What it was made for.
        runner: Runs it.
        optimizations: All that were considered; those in force have changed the engine.
        numerics: Applies `--on_nonfinite`.
    """

    session: Session
    runner: ModelRunner
    optimizations: tuple[ActiveOptimization, ...]
    numerics: NumericsHandler

    @property
    def safer(self) -> SaferNumerics | None:
        """What can be made safer for a seed whose values were not finite."""
        active = tuple(one for one in self.optimizations if one.active)
        return safer_numerics(self.runner.config, active)

    def run_safer(
        self,
        batch: Features,
        seed: int,
        samples_at_once: int | None,
        changes: SaferNumerics,
    ) -> ModelResult:
        """Runs a seed on a second model that differs from `runner` by these changes."""
        settings = self.session.settings
        disabled = (*settings.disable_optimizations, *changes.disabled)
        settings = dataclasses.replace(settings, disable_optimizations=disabled)
        with activated_instead(settings, self.session.context) as safer:
            names = tuple(one.name for one in safer if one.active)
            runner = self.runner.variant(changes.config_overrides, names)
            return runner.run_inference(batch, seed, samples_at_once)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """What jobs are done with.

    Attributes:
        session: What all jobs share.
        pipeline: The data pipeline, None when it is not to run.
        model: The model, None when it is not to run.
        features: What decides features besides the input.
        feature_cache: Where they are kept between runs, or None.
        facts: Gives what the run records have in common, None when none are to be written.
    """

    session: Session
    pipeline: DataPipeline | None
    model: Model | None
    features: FeatureOptions
    feature_cache: FeatureCache | None
    facts: Callable[[], RunFacts] | None

    @property
    def settings(self) -> Settings:
        """All settings."""
        return self.session.settings


def make_pipeline(settings: Settings, cache: MsaCache | None) -> DataPipeline | None:
    """Makes the data pipeline; None when it is not to run.

    Args:
        settings: Name tools and databases.
        cache: Where results of searches are kept, or None.
    """
    if not settings.run_data_pipeline:
        return None
    return DataPipeline(settings, cache.pipeline_class if cache is not None else None)


def start_model(session: Session, engine: EngineInfo) -> Model:
    """Starts the model: its weights are usable, and loaded or about to be.

    Args:
        session: Settings and machine.
        engine: The engine, which has been imported.

    Raises:
        SetupError: device or weights cannot be used.
    """
    settings, backend = session.settings, session.backend
    # The probe must be in place before anything is compiled.
    numerics = _numerics(settings)
    optimizations = activate(settings, session.context)
    runner = session.make_runner(
        engine,
        dataclasses.replace(settings, flash_attention_implementation=backend.flash_attention),
        backend.name,
        settings.gpu_device,
        optimizations=tuple(one.name for one in optimizations if one.active),
        weights_digest=lambda: session.weights_digest,
    )
    _log.info("Checking that model parameters can be loaded...")
    runner.weights.describe()
    if session.synthetic:
        _log.warning("%s", SYNTHETIC_NOTE)
    if session.reporter.memory is not None:
        gpu = backend.gpu
        session.reporter.memory.watch_device(runner.device, gpu.uuid if gpu else None)
    return Model(session, runner, optimizations, numerics)


def _numerics(settings: Settings) -> NumericsHandler:
    probe = None
    if settings.debug_numerics:
        probe = StageProbe()
        probe.install()
    return NumericsHandler(NonFinitePolicy(settings.on_nonfinite), probe=probe)


def make_tools(
    session: Session,
    pipeline: DataPipeline | None,
    model: Model | None,
    searches: ActiveOptimization | None,
) -> Tools:
    """Puts together what jobs are done with.

    Args:
        session: What all jobs share.
        pipeline: From `make_pipeline`.
        model: From `start_model`; None without inference.
        searches: What the run record says of the searches, or None.
    """
    settings = session.settings
    facts = None
    if settings.run_record and model is not None:
        # The digest of weights that are being copied is not waited for here.
        facts = functools.cache(functools.partial(_facts, session, model, searches))
    return Tools(
        session=session,
        pipeline=pipeline,
        model=model,
        features=FeatureOptions.from_settings(settings, session.buckets),
        feature_cache=FeatureCache.from_settings(settings),
        facts=facts,
    )


def _facts(session: Session, model: Model, searches: ActiveOptimization | None) -> RunFacts:
    considered = (*model.optimizations, *([searches] if searches is not None else ()))
    settings, startup = session.settings, session.startup
    return RunFacts(
        command=sys.orig_argv,
        engine=engine_record(session.engine_info),
        weights=WeightsRecord(
            directory=str(settings.model_dir),
            digest=session.weights_digest,
            synthetic=session.synthetic,
        ),
        host=host_record(startup.host, session.backend),
        backend=backend_record(session.backend, model.runner.device),
        settings=all_settings(settings),
        environment=environment_record(startup.variables),
        optimizations=[OptimizationRecord(**dataclasses.asdict(one)) for one in considered],
    )
