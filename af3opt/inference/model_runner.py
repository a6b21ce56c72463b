"""Runs the model: one set of weights on one device, one executable per shape."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from af3opt.data.synthetic_weights import read_manifest
from af3opt.engine.model import (
    DIFFUSION_STEPS,
    ConfigOverride,
    device_features,
    forward_function,
    make_model_config,
)
from af3opt.inference.compiled import (
    BatchSignature,
    CompiledModel,
    CompileReport,
    batch_signature,
    compile_model,
)
from af3opt.inference.device import attention_implementation, choose_device
from af3opt.inference.results import post_process_result
from af3opt.inference.weights import LoadedWeights, load_weights
from af3opt.settings import Settings

_log = logging.getLogger(__name__)


class ModelRunner:
    """Predicts structures from featurised batches on one device.

    Weights are read once, on `load` or at the first use; an executable is made
    once for each set of padded batch shapes.
    """

    def __init__(
        self, *, config: Any, device: Any, model_dir: Path, copy_weights: bool = True
    ) -> None:
        """Keeps what is needed; reads and compiles nothing yet.

        Args:
            config: The engine's `Model.Config`.
            device: The JAX device to run on.
            model_dir: Directory of the weights.
            copy_weights: Use, or make, the local copy of the weights.
        """
        self.config = config
        self.device = device
        self._model_dir = model_dir
        self._copy_weights = copy_weights
        self._weights: LoadedWeights | None = None
        self._forward = forward_function(config)
        self._executables: dict[BatchSignature, CompiledModel] = {}

    def load(self) -> LoadedWeights:
        """Reads the weights to the device; does nothing the second time.

        Returns:
            The weights with their identifier and digest.

        Raises:
            SetupError: no readable weights in the model directory.
        """
        if self._weights is None:
            self._weights = load_weights(self._model_dir, self.device, use_copy=self._copy_weights)
        return self._weights

    def compile(self, batch: Mapping[str, Any]) -> CompileReport:
        """Makes the executable for a batch of these shapes, unless it is there.

        Args:
            batch: A featurised example, or numeric features by name.

        Returns:
            What compiling took and running will take.
        """
        return self._compiled(device_features(batch)).report

    def run_inference(self, batch: Mapping[str, Any], seed: Any) -> dict[str, Any]:
        """Computes a forward pass on a featurised example.

        Args:
            batch: A featurised example from the engine, padded to its bucket.
            seed: The seed as an integer, or a JAX random key made from it.

        Returns:
            The result as numpy arrays; see `post_process_result`.

        Raises:
            SetupError: no readable weights in the model directory.
        """
        import jax
        import jax.numpy as jnp

        features = device_features(batch)
        compiled = self._compiled(features)
        key = jax.random.PRNGKey(seed) if isinstance(seed, int) else seed
        # Types are canonicalised on the host first: the device never sees 64 bits.
        arguments = jax.device_put((key, jax.tree.map(jnp.asarray, features)), self.device)
        weights = self.load()
        result = compiled.executable(weights.params, *arguments)
        return post_process_result(result, weights.identifier)

    def _compiled(self, features: Mapping[str, Any]) -> CompiledModel:
        signature = batch_signature(features)
        if signature not in self._executables:
            self._executables[signature] = compile_model(
                self._forward, self.load().params, features, self.device
            )
        return self._executables[signature]


def create_model_runner(
    engine: Any, settings: Settings, backend: str, device_index: int = 0
) -> ModelRunner:
    """Makes the runner that a set of settings asks for.

    Args:
        engine: The loaded engine, as `engine.adapter.load_engine` returns it.
        settings: All settings of the run.
        backend: "cpu", "gpu" or "mps", already decided.
        device_index: Position among the devices of that backend.

    Returns:
        A runner that has read and compiled nothing yet.

    Raises:
        SetupError: no such device, or the engine cannot express a setting.
        UsageError: the device cannot run the attention kernels asked for.
    """
    del engine
    device = choose_device(backend, device_index)
    attention = attention_implementation(settings.flash_attention_implementation, device)
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
    _log.info("Model runs on %s with %s attention", device, attention)
    return ModelRunner(
        config=config, device=device, model_dir=model_dir, copy_weights=settings.weights_copy
    )
