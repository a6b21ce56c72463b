"""What active optimisations make of a model's inputs before it is compiled or run."""

from collections.abc import Collection

from af3opt.engine.protocols import Features, Parameters
from af3opt.optimizations import diffusion_transformer
from af3opt.optimizations.atom_slots import ATOM_SLOTS, trim_atom_slots
from af3opt.optimizations.msa_depth import MSA_DEPTH, trim_msa
from af3opt.optimizations.separate_layers import with_separate_layers

_SEPARATE_LAYERS = {diffusion_transformer.LAYERS.name, diffusion_transformer.PRODUCTS.name}


def model_features(features: Features, optimizations: Collection[str]) -> Features:
    """Trims features to what the model is to work through.

    Args:
        features: Numeric features by name; see `device_features`.
        optimizations: Names of the active optimisations.
    """
    trimmed = dict(features)
    for optimization, trim in ((MSA_DEPTH, trim_msa), (ATOM_SLOTS, trim_atom_slots)):
        if optimization.name in optimizations:
            trimmed = trim(trimmed)
    return trimmed


def model_parameters(
    parameters: Parameters,
    optimizations: Collection[str],
    joined: Parameters | None = None,
) -> Parameters:
    """Arranges parameters as the model is to read them.

    Args:
        parameters: Arrays, or shapes and dtypes, by scope and name.
        optimizations: Names of the active optimisations.
        joined: Weights that lie side by side already; see `LoadedWeights`.
    """
    if _SEPARATE_LAYERS.isdisjoint(optimizations):
        return parameters
    return with_separate_layers(parameters, joined)
