"""The engine's model: its configuration, its forward function, its results.

DeepMind's library and its forks differ in how a configuration is built and in
which arguments functions take. The differences are found by looking (module
present, parameter in the signature), never by version, and an option that the
installed engine cannot express is an error instead of being dropped.
"""

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

import numpy as np

from af3opt.base.errors import SetupError, UsageError
from af3opt.engine.modules import engine_module
from af3opt.engine.protocols import (
    Array,
    Features,
    InferenceResult,
    ModelConfig,
    ModelResult,
    Parameters,
)

ConfigOverride = int | str

# Where each engine keeps the settings af3opt has an option for.
DIFFUSION_STEPS = "heads.diffusion.eval.steps"
DIFFUSION_SAMPLES = "heads.diffusion.eval.num_samples"


class ForwardFunction(Protocol):
    """A pure forward pass: `(params, rng_key, batch) -> result`."""

    def __call__(self, params: Parameters, rng_key: Array, batch: Features) -> ModelResult:
        """Runs trunk, diffusion and confidence head on one padded batch."""


def make_model_config(
    *,
    flash_attention_implementation: str,
    num_diffusion_samples: int,
    num_recycles: int,
    return_embeddings: bool = False,
    return_distogram: bool = False,
    overrides: Mapping[str, ConfigOverride] | None = None,
) -> ModelConfig:
    """Builds the configuration that the engine's own script would run with.

    An engine with a configuration factory chooses defaults there that its plain
    `Model.Config()` does not have (numerical precision by device, for example),
    so the factory is used where there is one.

    Args:
        flash_attention_implementation: "triton", "cudnn" or "xla".
        num_diffusion_samples: Samples drawn per seed.
        num_recycles: Trunk passes after the first.
        return_embeddings: Return the trunk's single and pair embeddings.
        return_distogram: Return the distogram's logits.
        overrides: Values by dotted path into the configuration, such as
            `{"heads.diffusion.eval.steps": 20}`; applied last.

    Returns:
        A `model.Model.Config`.

    Raises:
        SetupError: an override names a field this engine's configuration lacks.
        UsageError: an override has another type than the field.
    """
    wanted = {
        "flash_attention_implementation": flash_attention_implementation,
        "num_diffusion_samples": num_diffusion_samples,
        "num_recycles": num_recycles,
        "return_embeddings": return_embeddings,
        "return_distogram": return_distogram,
    }
    factory = _config_factory()
    if factory is not None:
        config = factory(**wanted)
    else:
        config = engine_module("model.model").Model.Config()
        config.global_config.flash_attention_implementation = flash_attention_implementation
        config.heads.diffusion.eval.num_samples = num_diffusion_samples
        config.num_recycles = num_recycles
        config.return_embeddings = return_embeddings
        config.return_distogram = return_distogram
    for path, value in (overrides or {}).items():
        set_config_value(config, path, value)
    return config


def _config_factory() -> Callable[..., Any] | None:
    """The engine's configuration factory, or None when it has none."""
    try:
        module = engine_module("model.config_factory")
    except ModuleNotFoundError:
        return None
    factory: Callable[..., Any] = module.make_model_config
    return factory


def config_value(config: ModelConfig, path: str) -> ModelConfig:
    """Returns the value at a dotted path of a configuration.

    Raises:
        SetupError: this engine's configuration has no such field.
    """
    owner = config
    for name in path.split("."):
        if not hasattr(owner, name):
            raise SetupError(
                f"the engine's model configuration has no field {path!r}; "
                "use an engine version that has it, or leave the option that sets it unset"
            )
        owner = getattr(owner, name)
    return owner


def set_config_value(config: ModelConfig, path: str, value: ConfigOverride) -> None:
    """Sets a dotted path of a configuration in place.

    Raises:
        SetupError: this engine's configuration has no such field.
        UsageError: `value` has another type than the field's present value.
    """
    present = config_value(config, path)
    if type(present) is not type(value):
        raise UsageError(
            f"model configuration {path}: expected {type(present).__name__}, got {value!r}"
        )
    parent, _, name = path.rpartition(".")
    setattr(config_value(config, parent) if parent else config, name, value)


def forward_function(config: ModelConfig) -> ForwardFunction:
    """Returns the engine's forward pass as a pure function, for `jax.jit`."""
    import haiku as hk

    model_class = engine_module("model.model").Model

    def run_model(batch: Features) -> ModelResult:
        result: ModelResult = model_class(config)(batch)
        return result

    apply: ForwardFunction = hk.transform(run_model).apply
    return apply


def device_features(batch: Features) -> dict[str, Array]:
    """Keeps the features a model run can use: numeric ones, no layouts or structures.

    Args:
        batch: A featurised example, from feature name to numpy array.

    Returns:
        The numeric subset, chosen by the engine itself.
    """
    features = engine_module("model.components.utils").remove_invalidly_typed_feats(batch)
    return dict(features)


def extract_inference_results(
    batch: Features, result: ModelResult, target_name: str
) -> list[InferenceResult]:
    """Turns a model result into one `InferenceResult` per diffusion sample.

    Args:
        batch: The featurised example, layouts included.
        result: Post-processed result of the forward pass, `__identifier__` included.
        target_name: Name of the fold input.

    Returns:
        The engine's `InferenceResult` objects, in sample order.
    """
    get_results: Callable[..., Iterable[InferenceResult]] = engine_module(
        "model.model"
    ).Model.get_inference_result
    arguments: dict[str, Any] = {"batch": batch, "result": result}
    if "target_name" in inspect.signature(get_results).parameters:
        arguments["target_name"] = target_name
    return list(get_results(**arguments))


def extract_embeddings(result: ModelResult, num_tokens: int) -> dict[str, np.ndarray] | None:
    """Cuts the padding off the trunk's embeddings.

    Args:
        result: Post-processed model result.
        num_tokens: Tokens of the input without padding.

    Returns:
        `single_embeddings` (num_tokens, 384) and `pair_embeddings` (num_tokens,
        num_tokens, 128) as float16, or None when they were not asked for.
    """
    embeddings = {}
    if "single_embeddings" in result:
        embeddings["single_embeddings"] = result["single_embeddings"][:num_tokens].astype(
            np.float16
        )
    if "pair_embeddings" in result:
        embeddings["pair_embeddings"] = result["pair_embeddings"][:num_tokens, :num_tokens].astype(
            np.float16
        )
    return embeddings or None


def extract_distogram(result: ModelResult, num_tokens: int) -> np.ndarray | None:
    """Cuts the padding off the distogram: (num_tokens, num_tokens, 64), or None."""
    distogram = result["distogram"].get("distogram")
    if distogram is None:
        return None
    trimmed: np.ndarray = distogram[:num_tokens, :num_tokens, :]
    return trimmed
