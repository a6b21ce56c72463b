"""The engine's own featurisation, one seed at a time."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from af3opt.engine.inputs import FoldInput
from af3opt.engine.modules import engine_module
from af3opt.engine.protocols import ComponentDictionary
from af3opt.features.options import FeatureOptions

# A featurised example: feature name -> array (some are 0-d object arrays).
type Batch = dict[str, np.ndarray]


def featurise_with_engine(
    fold_input: FoldInput, seed: int, ccd: ComponentDictionary, options: FeatureOptions
) -> Batch:
    """Featurises one seed exactly as `featurise_input` does in a loop over all seeds.

    Upstream draws a fresh random state for each seed, so a seed's features do not
    depend on the others.

    Args:
        fold_input: Input with MSAs and templates filled in.
        seed: Seed of the model run.
        ccd: Dictionary from `engine.inputs.make_ccd`.
        options: Featurisation options.

    Raises:
        ValueError: the engine refuses the input.
        KeyError: the engine does not know a component of the input.
    """
    (batch,) = featurise_all_seeds(dataclasses.replace(fold_input, rng_seeds=[seed]), ccd, options)
    return dict(batch)


def featurise_all_seeds(
    fold_input: FoldInput, ccd: ComponentDictionary, options: FeatureOptions
) -> Sequence[Mapping[str, np.ndarray]]:
    """Calls the engine's `featurise_input`: one batch for each of the input's seeds.

    Args:
        fold_input: Input with MSAs and templates filled in.
        ccd: Dictionary from `make_ccd`.
        options: Featurisation options.

    Raises:
        ValueError: the engine refuses the input.
        KeyError: the engine does not know a component of the input.
    """
    featurise_input = engine_module("data.featurisation").featurise_input
    batches: Sequence[Mapping[str, np.ndarray]] = featurise_input(
        fold_input=fold_input, ccd=ccd, **options.arguments_for(featurise_input)
    )
    return batches
