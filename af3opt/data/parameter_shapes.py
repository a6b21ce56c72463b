"""Shapes of the model's parameters, found without running the model."""

import json
from collections.abc import Mapping

from af3opt.data.bootstrap import bootstrap_engine
from af3opt.engine.model import device_features, make_model_config
from af3opt.engine.modules import engine_module
from af3opt.engine.protocols import Array

# Any input does: no parameter's shape depends on it.
_PROBE = {
    "name": "shapes",
    "modelSeeds": [1],
    "sequences": [
        {
            "protein": {
                "id": "A",
                "sequence": "MGSA",
                "unpairedMsa": "",
                "pairedMsa": "",
                "templates": [],
            }
        }
    ],
    "dialect": "alphafold3",
    "version": 1,
}


def parameter_shapes(overrides: Mapping[str, int]) -> dict[tuple[str, str], tuple[int, ...]]:
    """Finds the shape of every parameter by abstract evaluation of the initialiser.

    Args:
        overrides: Dotted path into the model's configuration -> value.

    Returns:
        (Haiku scope, parameter name) -> shape. All parameters are float32.

    Raises:
        SetupError: the engine, or its chemical data, cannot be used.
    """
    bootstrap_engine()
    import haiku as hk
    import jax

    # Nothing is computed: leave a GPU, and its memory, to those who need it.
    jax.config.update("jax_platforms", "cpu")
    config = make_model_config(
        flash_attention_implementation="xla",
        num_diffusion_samples=1,
        num_recycles=1,
        overrides=overrides,
    )
    model_class = engine_module("model.model").Model
    forward = hk.transform(lambda batch: model_class(config)(batch))
    shapes = jax.eval_shape(forward.init, jax.random.PRNGKey(0), _probe_features())
    return {
        (scope, name): tuple(parameter.shape)
        for scope, parameters in shapes.items()
        for name, parameter in parameters.items()
    }


def _probe_features() -> dict[str, Array]:
    fold_input = engine_module("common.folding_input").Input.from_json(json.dumps(_PROBE))
    ccd = engine_module("constants.chemical_components").Ccd()
    batches = engine_module("data.featurisation").featurise_input(fold_input, ccd, [16])
    return device_features(batches[0])
