"""The whole model on trimmed atom slots."""

import copy

import numpy as np
import pytest

pytest.importorskip("jax")

from af3opt.engine.discovery import find_engine
from af3opt.inference.executables import ProgramIdentity
from af3opt.optimizations.atom_slots import ATOM_SLOTS, trim_atom_slots

pytestmark = pytest.mark.engine


def peptide_batch(engine_input):
    """Twenty residues padded to 24 tokens: more atoms than a window has keys."""
    protein = {"id": "A", "sequence": "MKTAYIAKQRQISFVKSHFS"}
    no_search = {"unpairedMsa": "", "pairedMsa": "", "templates": []}
    content = {
        "name": "peptide",
        "modelSeeds": [1],
        "sequences": [{"protein": protein | no_search}],
        "dialect": "alphafold3",
        "version": 1,
    }
    return engine_input(content).featurise(24)


def test_positions_are_the_same_but_for_rounding(small_model, engine_input):
    batch = peptide_batch(engine_input)
    config = copy.deepcopy(small_model.config)
    # The engine's bfloat16 would turn rounding into visible differences.
    config.global_config.bfloat16 = "none"

    def run(*optimizations):
        identity = ProgramIdentity(
            engine_fingerprint=find_engine().fingerprint, optimizations=optimizations
        )
        return small_model.runner(config=config, identity=identity).run_inference(batch, 1)

    assert ATOM_SLOTS.obstacle() is None
    subsets = batch["tokens_to_queries:gather_mask"].shape[0]
    trimmed = trim_atom_slots(batch)
    assert trimmed["tokens_to_queries:gather_mask"].shape[0] < subsets
    reference = run()["diffusion_samples"]["atom_positions"]
    ours = run(ATOM_SLOTS.name)["diffusion_samples"]["atom_positions"]
    assert np.abs(ours - reference).max() < 1e-4 * np.abs(reference).max()
