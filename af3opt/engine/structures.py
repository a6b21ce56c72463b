"""Structures made from a model's result, and what the engine knows about their parts."""

import datetime
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from af3opt.engine.modules import engine_module
from af3opt.engine.protocols import CifDict, Structure


def predicted_structures(
    result: Mapping[str, Any],
    batch: Mapping[str, Any],
    change: Callable[[NDArray[Any]], NDArray[Any]],
) -> Sequence[Structure]:
    """Builds the engine's structures from changed coordinates and pLDDTs.

    Args:
        result: The forward pass's result on the host.
        batch: The featurised batch.
        change: Applied to the coordinates in Å and to the pLDDTs, which must be finite
            afterwards.

    Returns:
        One structure a sample.
    """
    typed_batch = engine_module("model.feat_batch").Batch.from_data_dict(batch)
    samples = result["diffusion_samples"]
    changed = {
        "diffusion_samples": samples
        | {"atom_positions": change(samples["atom_positions"]).astype(np.float32)},
        "predicted_lddt": change(result["predicted_lddt"]).astype(np.float32),
    }
    structure: Structure = engine_module("model.model").get_predicted_structure(
        result=changed, batch=typed_batch
    )
    return structure.unstack()


def with_metadata(structure: Structure, model_id: bytes) -> CifDict:
    """The structure's mmCIF data block with what the engine writes about model and software.

    Args:
        structure: One model.
        model_id: Identifier of the weights.
    """
    timestamp = datetime.datetime.now().isoformat(sep=" ", timespec="seconds")
    block: CifDict = engine_module("model.mmcif_metadata").add_metadata_to_mmcif(
        old_cif=structure.to_mmcif_dict(),
        version=f"{engine_module('version').__version__} @ {timestamp}",
        model_id=model_id,
    )
    return block


def with_legal_comment(cif: str) -> str:
    """An mmCIF text with the engine's legal comment above it."""
    text: str = engine_module("model.mmcif_metadata").add_legal_comment(cif)
    return text


def amino_acids() -> frozenset[str]:
    """Codes of the standard amino acids."""
    return frozenset(engine_module("constants.residue_names").PROTEIN_TYPES)


def polymer_chain_types() -> frozenset[str]:
    """Types of polymer chains in mmCIF, such as "polypeptide(L)"."""
    return frozenset(engine_module("constants.mmcif_names").POLYMER_CHAIN_TYPES)


def standard_residues() -> frozenset[str]:
    """Codes of the standard residues of polymers, which are neither ligands nor modified."""
    return frozenset(engine_module("constants.residue_names").STANDARD_POLYMER_TYPES)


def known_components(codes: Iterable[str]) -> frozenset[str]:
    """Those codes that the component dictionary has an entry for."""
    dictionary = engine_module("constants.chemical_components").Ccd()
    return frozenset(code for code in codes if dictionary.get(code))


def compare_chirality(ligands: Structure) -> Mapping[str, bool]:
    """Compares ligands of one residue each with the component dictionary.

    Returns:
        By chain, whether its stereochemistry is the dictionary's.

    Raises:
        ValueError: a ligand cannot be compared, as RuntimeError and KeyError say too.
    """
    matches: Mapping[str, bool] = engine_module("model.scoring.chirality").compare_chirality(
        ligands
    )
    return matches
