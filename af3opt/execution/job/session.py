"""What all jobs of one process share and what is known of them before anything is loaded."""

import dataclasses
import functools
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from af3opt.base.version import deciding_versions
from af3opt.data.bootstrap import bootstrap_engine
from af3opt.data.synthetic_weights import read_manifest
from af3opt.engine.discovery import EngineInfo, find_engine
from af3opt.environment.backend import Backend
from af3opt.environment.neutral import engine_variables
from af3opt.environment.startup import Startup
from af3opt.execution.job.identity import Computing, Identity, data_identity, run_identity
from af3opt.execution.job.weights_digest import weights_digest
from af3opt.execution.planning.deadline import device_label
from af3opt.inference.buckets import choose_buckets
from af3opt.inference.model_runner import ModelRunner, create_model_runner
from af3opt.inference.weights_format import WeightFiles, find_weight_files
from af3opt.optimizations import permitted
from af3opt.optimizations.base import Context
from af3opt.optimizations.choice import choose_context
from af3opt.progress import Reporter
from af3opt.settings.settings import Settings

_log = logging.getLogger(__name__)


class RunnerFactory(Protocol):
    """Makes the model runner of a session; see `create_model_runner`."""

    def __call__(
        self,
        engine: EngineInfo,
        settings: Settings,
        backend: str,
        device_index: int = 0,
        *,
        optimizations: tuple[str, ...] = (),
        weights_digest: Callable[[], str] | None = None,
    ) -> ModelRunner:
        """Makes a runner that has read and compiled nothing yet."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Session:
    """Settings, machine and engine as far as files tell; nothing here starts anything.

    Attributes:
        settings: All settings.
        startup: What was found and set before JAX was imported.
        output_dir: Directory of the job directories.
        make_runner: Makes the model.
        reporter: Is told what happens.
        pool: The process whose worker this one is, None for a batch of its own.
    """

    settings: Settings
    startup: Startup
    output_dir: Path
    make_runner: RunnerFactory = create_model_runner
    reporter: Reporter = dataclasses.field(default_factory=Reporter)
    pool: int | None = None

    @property
    def backend(self) -> Backend:
        """Where the model runs."""
        return self.startup.backend

    @functools.cached_property
    def engine_info(self) -> EngineInfo:
        """The installed engine, found without importing it."""
        return find_engine()

    @functools.cached_property
    def buckets(self) -> tuple[int, ...]:
        """Token counts that inputs are padded to."""
        return choose_buckets(self.settings, self.backend.name)

    @functools.cached_property
    def synthetic(self) -> bool:
        """Whether results come from synthetic weights and must say so."""
        return self.settings.run_inference and read_manifest(self.settings.model_dir) is not None

    @functools.cached_property
    def device_label(self) -> str:
        """The kind of device, for learned times."""
        return device_label(self.backend, self.settings.model_dir)

    @functools.cached_property
    def context(self) -> Context:
        """What the choice of optimisations rests on."""
        return choose_context(self.settings, self.startup.host, self.backend)

    @functools.cached_property
    def weights_digest(self) -> str:
        """Digest of the weights.

        Raises:
            SetupError: there are none.
        """
        return weights_digest(self.settings.model_dir, self._find_weight_files)

    def _find_weight_files(self, model_dir: Path) -> WeightFiles:
        import_engine(self)  # It knows which files of the directory count.
        return find_weight_files(model_dir)

    def data_identity(self, input_digest: str, *, searched: bool) -> Identity:
        """The identity of a job's MSAs and templates under these settings."""
        return data_identity(
            self.settings,
            input_digest=input_digest,
            engine_fingerprint=self.engine_info.fingerprint,
            searched=searched,
            variables=engine_variables(self.startup.deciding),
        )

    def run_identity(self, resolved_input: str, first_seed: int) -> Identity:
        """The identity of a job's inference under these settings.

        Whether an optimisation suits the engine follows from the engine's fingerprint, so it
        need not be imported to tell whether a job is done.

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
        precisions = (
            f"trunk {self.context.trunk_precision}",
            f"diffusion {self.context.diffusion_precision}",
        )
        return Computing(
            weights=self.weights_digest,
            engine=self.engine_info.fingerprint,
            backend=self.backend.name,
            buckets=self.buckets,
            optimisations=(*permitted(self.settings, self.context), *precisions),
            versions=deciding_versions(),
            variables=self.startup.deciding,
        )


def import_engine(session: Session) -> EngineInfo:
    """Imports the engine; does nothing the second time.

    Raises:
        SetupError: it cannot be used.
    """
    return bootstrap_engine(defer_kernels=session.backend.name == "cpu")
