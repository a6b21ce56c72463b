"""From the model's raw result to samples, embeddings and a distogram."""

import inspect
from collections.abc import Mapping
from typing import Any

import numpy as np

from af3opt.engine.features import Batch
from af3opt.engine.modules import engine_module
from af3opt.engine.outputs import InferenceResult
from af3opt.output.pdb import PdbAtom


def extract_samples(batch: Batch, result: Mapping[str, Any], name: str) -> list[InferenceResult]:
    """Turns the model's output into one result object for each diffusion sample.

    Args:
        batch: The featurised example that was run.
        result: The model's output as numpy arrays, with `__identifier__`.
        name: The job's name.
    """
    extract = engine_module("model.model").Model.get_inference_result
    options = {"target_name": name} if "target_name" in inspect.signature(extract).parameters else {}
    return list(extract(batch=batch, result=result, **options))


def count_tokens(sample: InferenceResult) -> int:
    """Number of real (unpadded) tokens."""
    return len(sample.metadata["token_chain_ids"])


def extract_embeddings(result: Mapping[str, Any], tokens: int) -> dict[str, np.ndarray]:
    """Returns the trunk's embeddings without padding, as upstream saves them.

    Args:
        result: The model's output.
        tokens: Number of real tokens.

    Returns:
        `single_embeddings` (tokens, 384) and `pair_embeddings` (tokens, tokens, 128),
        float16; empty when the model was not asked for them.
    """
    embeddings = {}
    if "single_embeddings" in result:
        embeddings["single_embeddings"] = result["single_embeddings"][:tokens].astype(np.float16)
    if "pair_embeddings" in result:
        embeddings["pair_embeddings"] = result["pair_embeddings"][:tokens, :tokens].astype(
            np.float16
        )
    return embeddings


def extract_distogram(result: Mapping[str, Any], tokens: int) -> np.ndarray | None:
    """Returns the (tokens, tokens, 64) distogram, or None when it was not asked for."""
    distogram = result["distogram"].get("distogram")
    return None if distogram is None else distogram[:tokens, :tokens, :]


def pdb_atoms(sample: InferenceResult) -> list[PdbAtom]:
    """Lists the atoms of a predicted structure for `af3opt.output.pdb`."""
    names = engine_module("constants.residue_names")
    types = engine_module("constants.mmcif_names")
    standard, polymers = names.STANDARD_POLYMER_TYPES, types.POLYMER_CHAIN_TYPES
    return [
        PdbAtom(
            is_hetero=not (atom["chain_type"] in polymers and atom["res_name"] in standard),
            name=str(atom["atom_name"]),
            residue_name=str(atom["res_name"]),
            chain_id=str(atom["chain_id"]),
            residue_number=int(atom["res_id"]),
            x=float(atom["atom_x"]),
            y=float(atom["atom_y"]),
            z=float(atom["atom_z"]),
            occupancy=float(atom["atom_occupancy"]),
            b_factor=float(atom["atom_b_factor"]),
            element=str(atom["atom_element"]),
        )
        for atom in sample.predicted_structure.iter_atoms()
    ]
