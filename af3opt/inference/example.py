"""The shapes of a batch without an input of the user's."""

import json

from af3opt.engine.inputs import fold_input_from_json, make_ccd
from af3opt.features.engine_features import Batch, featurise_with_engine
from af3opt.features.options import FeatureOptions
from af3opt.settings.settings import Settings

# More atoms than the window of the atom attention, 128: with fewer, slots are not trimmed.
_RESIDUES = 20


def example_batch(num_tokens: int, settings: Settings) -> Batch:
    """Featurises a short chain of leucine, padded to a bucket.

    The shapes of a batch depend on the bucket and on the engine's own sizes alone
    (rows of the MSA, templates, atoms), and trimmed atom slots on the atoms a token,
    so this is what a protein of the bucket looks like to the compiler.

    Args:
        num_tokens: The bucket.
        settings: Gives the featurisation options.

    Returns:
        A featurised example.
    """
    protein = {
        "id": "A",
        "sequence": "L" * min(num_tokens, _RESIDUES),
        "unpairedMsa": "",
        "pairedMsa": "",
        "templates": [],
    }
    text = json.dumps(
        {
            "name": "example",
            "modelSeeds": [1],
            "sequences": [{"protein": protein}],
            "dialect": "alphafold3",
            "version": 1,
        }
    )
    fold_input = fold_input_from_json(text)
    options = FeatureOptions.from_settings(settings, (num_tokens,))
    return featurise_with_engine(fold_input, 1, make_ccd(), options)
