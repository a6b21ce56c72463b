"""Runs the model: one set of weights on one device, one executable per shape."""

import functools
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

from af3opt.data.synthetic_weights import read_manifest
from af3opt.engine.model import (
    DIFFUSION_SAMPLES,
    DIFFUSION_STEPS,
    ConfigOverride,
    config_value,
    device_features,
    make_model_config,
)
from af3opt.engine.protocols import Array, Features, ModelResult, Parameters
from af3opt.inference.by_shape import ModelsByShape
from af3opt.inference.compile_cache import configure_compile_cache
from af3opt.inference.compiled import (
    STORED,
    BatchSignature,
    CompiledModel,
    CompileReport,
    ModelCompiler,
    batch_signature,
)
from af3opt.inference.device import choose_device
from af3opt.inference.executables import ProgramIdentity
from af3opt.inference.model_inputs import model_features, model_parameters
from af3opt.inference.results import post_process_result
from af3opt.inference.splitting import (
    DeviceMemoryError,
    SplitNotPossibleError,
    is_out_of_memory,
    smaller_chunk,
)
from af3opt.inference.weights import ModelWeights
from af3opt.memory import Program
from af3opt.settings.settings import Settings

_log = logging.getLogger(__name__)


class EngineIdentity(Protocol):
    """What the runner needs to know of the engine."""

    @property
    def fingerprint(self) -> str:
        """Digest of the engine's files."""


class ModelRunner:
    """Predicts structures from featurised batches on one device.

    Attributes:
        config: The engine's `Model.Config`.
        device: The JAX device it runs on.
        weights: Read at the first use.
        compile_reports: What making each executable took, in the order they were needed.
    """

    def __init__(self, compiler: ModelCompiler, weights: ModelWeights) -> None:
        """Reads and compiles nothing yet.

        Args:
            compiler: Makes executables, for a configuration and a device.
            weights: The weights on that device.
        """
        self.config = compiler.config
        self.device = compiler.device
        self.weights = weights
        self._compiler = compiler
        self._models = ModelsByShape(compiler, weights)
        self.compile_reports = self._models.reports
        # The most samples at once that batches of a shape have been found to allow.
        self._samples_at_once: dict[BatchSignature, int] = {}

    def variant(
        self, overrides: Mapping[str, ConfigOverride], optimizations: tuple[str, ...]
    ) -> "ModelRunner":
        """A runner with another configuration that shares this one's weights and cache.

        Args:
            overrides: Values by dotted path into the configuration.
            optimizations: Names of the optimisations that will be active.

        Raises:
            SetupError: weights or configuration do not allow it.
        """
        self.weights.load()
        return ModelRunner(self._compiler.variant(overrides, optimizations), self.weights)

    @property
    def num_samples(self) -> int:
        """Diffusion samples of one run."""
        return int(config_value(self.config, DIFFUSION_SAMPLES))

    @property
    def once_seconds(self) -> float:
        """What loading the weights and making executables took until now."""
        return self.weights.seconds + self._models.seconds

    def compile(self, batch: Features, samples_at_once: int | None = None) -> CompileReport:
        """Makes the executable for a batch of these shapes, unless it is there.

        Args:
            batch: A featurised example, or numeric features by name.
            samples_at_once: Diffusion samples computed together; None for all.

        Returns:
            What compiling took and running will take.

        Raises:
            SetupError: no usable weights in the model directory.
        """
        features = self._features(batch)
        report = self._models.get(features, samples_at_once or self.num_samples).report
        self._compiler.store_new()
        return report

    def program_text(self, batch: Features) -> str:
        """The program for batches of these shapes as XLA has optimised it.

        Args:
            batch: A featurised example, or numeric features by name.

        Raises:
            SetupError: no usable weights in the model directory.
        """
        compiled = self._models.get(self._features(batch), self.num_samples)
        return str(compiled.executable.as_text())

    def program(self, batch: Features) -> Program:
        """What decides the memory of the program that a batch needs.

        Args:
            batch: A featurised example, or numeric features by name.

        Raises:
            SetupError: no usable weights in the model directory.
        """
        return self._models.program(self._features(batch))

    def run_inference(
        self, batch: Features, seed: int | Array, samples_at_once: int | None = None
    ) -> ModelResult:
        """Computes a forward pass on a featurised example.

        If the device runs out of memory, fewer samples are computed at once.

        Args:
            batch: A featurised example from the engine, padded to its bucket.
            seed: The seed as an integer, or a JAX random key made from it.
            samples_at_once: Most diffusion samples to compute together; None for all.

        Returns:
            The result as numpy arrays; see `post_process_result`.

        Raises:
            SetupError: no usable weights in the model directory.
            DeviceMemoryError: the device's memory does not do for a single sample.
        """
        features = self._features(batch)
        signature = batch_signature(features)
        limits = (samples_at_once or self.num_samples, self._samples_at_once.get(signature))
        chunk: int | None = min(limit for limit in limits if limit is not None)
        reason = ""
        while chunk is not None:
            self._samples_at_once[signature] = chunk
            try:
                return self._run(features, seed, chunk)
            except SplitNotPossibleError as error:
                reason = f"samples cannot be split: {error}"
                break
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                reason = (str(error).splitlines() or ["out of memory"])[0]
            self._models.drop(features, chunk)
            chunk = smaller_chunk(chunk)
            if chunk is not None:
                _log.warning(
                    "Out of memory on %s; going on with %d samples at a time", self.device, chunk
                )
        # The failure belongs to this run; a later one of this shape may find more room.
        self._samples_at_once.pop(signature, None)
        tokens = features["aatype"].shape[-1]
        remedy = (
            "a machine or a Slurm --mem with more memory"
            if self.device.platform == "cpu"
            else "--unified_memory or a GPU with more memory"
        )
        raise DeviceMemoryError(
            f"{tokens} tokens do not fit into the memory of {self.device} even one sample at a "
            f"time ({reason}); use {remedy}"
        )

    @functools.cached_property
    def _parameters(self) -> Parameters:
        """The weights as the executables take them."""
        weights = self.weights.load()
        return model_parameters(weights.params, self._compiler.optimizations, weights.joined)

    def _features(self, batch: Features) -> Features:
        return model_features(device_features(batch), self._compiler.optimizations)

    def _run(self, features: Features, seed: int | Array, chunk: int) -> ModelResult:
        import jax

        compiled = self._models.get(features, chunk)
        key = jax.random.PRNGKey(seed) if isinstance(seed, int) else seed
        # On the way, types of 64 bits become those of 32.
        arguments = jax.device_put((key, dict(features)), self.device)
        identifier, parameters = self.weights.load().identifier, self._parameters

        def compute(model: CompiledModel) -> ModelResult:
            # Errors of asynchronous work appear when its result is read.
            result = model.executable(parameters, *arguments)
            self._compiler.store_new()
            return post_process_result(result, identifier)

        try:
            return compute(compiled)
        except RuntimeError as error:
            # Native code that was stored by another process may fail only when it runs.
            if compiled.report.origin != STORED or is_out_of_memory(error):
                raise
            problem = f"does not run ({(str(error).splitlines() or [''])[0]})"
            return compute(self._models.make_again(features, chunk, problem))


def create_model_runner(
    engine: EngineIdentity,
    settings: Settings,
    backend: str,
    device_index: int = 0,
    *,
    optimizations: tuple[str, ...] = (),
    weights_digest: Callable[[], str] | None = None,
) -> ModelRunner:
    """Makes the runner that a set of settings asks for.

    Args:
        engine: The engine found.
        settings: All settings of the run, attention kernels decided.
        backend: "cpu", "gpu" or "mps", already decided.
        device_index: Position among the devices of that backend.
        optimizations: Names of the active optimisations.
        weights_digest: Gives the digest of the weights that results are recorded with.

    Returns:
        A runner that has read and compiled nothing yet.

    Raises:
        SetupError: no such device, or the engine cannot express a setting.
        UsageError: the compilation cache's directory belongs to somebody else, or
            anybody can write to it.
    """
    device = choose_device(backend, device_index)
    attention = settings.flash_attention_implementation
    assert attention is not None, "the backend decides on the attention kernels"
    overrides: dict[str, ConfigOverride] = {}
    model_dir = Path(settings.model_dir).expanduser()
    manifest = read_manifest(model_dir)
    if manifest is not None:
        overrides.update(manifest.config_overrides)
    if settings.num_diffusion_steps is not None:
        overrides[DIFFUSION_STEPS] = settings.num_diffusion_steps
    config = make_model_config(
        flash_attention_implementation=attention,
        num_diffusion_samples=settings.num_diffusion_samples,
        num_recycles=settings.num_recycles,
        return_embeddings=settings.save_embeddings,
        return_distogram=settings.save_distogram,
        overrides=overrides,
    )
    _log.info("The model runs on %s with %s attention", device, attention)
    compiler = ModelCompiler(
        config=config,
        device=device,
        identity=ProgramIdentity(
            engine_fingerprint=engine.fingerprint, optimizations=optimizations
        ),
        cache=configure_compile_cache(settings.jax_compilation_cache_dir, device),
    )
    weights = ModelWeights(model_dir, device, use_copy=settings.weights_copy, digest=weights_digest)
    return ModelRunner(compiler, weights)
