"""A tiny featurised input and the small model, shared by the inference tests."""

import dataclasses
import json
from pathlib import Path

import pytest

from af3opt.data.bootstrap import bootstrap_engine
from af3opt.data.synthetic_weights import read_manifest, synthetic_weights_dir
from af3opt.engine.discovery import find_engine
from af3opt.engine.inputs import make_ccd
from af3opt.engine.model import DIFFUSION_STEPS, make_model_config
from af3opt.engine.modules import engine_module
from af3opt.features.engine_features import featurise_with_engine
from af3opt.features.options import FeatureOptions
from af3opt.inference.compiled import ModelCompiler
from af3opt.inference.executables import ProgramIdentity
from af3opt.inference.model_runner import ModelRunner
from af3opt.inference.weights import ModelWeights
from af3opt.settings.settings import resolve_settings

NUM_SAMPLES = 3


@dataclasses.dataclass
class SmallModel:
    """Everything needed to make runners of the same model."""

    config: object
    device: object
    model_dir: Path

    def runner(self, **options):
        """Makes a runner with cold in-memory state.

        Args:
            options: Of the compiler, besides `weights` and `make_compiler`.
        """
        weights = options.pop("weights", None) or self.weights()
        make_compiler = options.pop("make_compiler", ModelCompiler)
        arguments = {
            "config": self.config,
            "device": self.device,
            "identity": ProgramIdentity(engine_fingerprint=find_engine().fingerprint),
            "cache": None,
        }
        return ModelRunner(make_compiler(**{**arguments, **options}), weights)

    def weights(self, model_dir=None, announced=None):
        """The model's weights, or those of another directory, not read yet."""
        directory = model_dir or self.model_dir
        return ModelWeights(directory, self.device, use_copy=False, announced=announced)


@pytest.fixture
def small_model(small_weights):
    """The model of reduced depth with three samples of four steps."""
    import jax

    bootstrap_engine()
    overrides = dict(read_manifest(small_weights).config_overrides)
    config = make_model_config(
        flash_attention_implementation="xla",
        num_diffusion_samples=NUM_SAMPLES,
        num_recycles=1,
        overrides={**overrides, DIFFUSION_STEPS: 4},
    )
    device = jax.local_devices(backend="cpu")[0]
    return SmallModel(config, device, synthetic_weights_dir("small", find_engine().fingerprint))


@pytest.fixture
def tiny_batch(prepared_home):
    """A dipeptide with a ligand, padded to 8 tokens."""
    bootstrap_engine()
    text = json.dumps(
        {
            "name": "tiny",
            "modelSeeds": [1],
            "sequences": [
                {
                    "protein": {
                        "id": "A",
                        "sequence": "GA",
                        "unpairedMsa": "",
                        "pairedMsa": "",
                        "templates": [],
                    }
                },
                {"ligand": {"id": "B", "ccdCodes": ["GOL"]}},
            ],
            "dialect": "alphafold3",
            "version": 1,
        }
    )
    fold_input = engine_module("common.folding_input").Input.from_json(text)
    options = FeatureOptions.from_settings(resolve_settings([], {}), (8,))
    return featurise_with_engine(fold_input, 1, make_ccd(), options)
