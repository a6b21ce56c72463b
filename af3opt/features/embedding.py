"""A conformer as the engine's `get_random_conformer` gives it, with less searching.

For every conformer anew, RDKit searches the molecule for some hundred patterns of
torsion angles in macrocycles: a sixth of the time that an amino acid's conformer
takes. Where RDKit itself says that the list of torsions is the same without them,
they are left out. The list is all that they decide, so the conformer is the same.
"""

import logging

import numpy as np

from af3opt.engine.known_functions import FORK_3_1_18, OLDER, known
from af3opt.engine.modules import engine_module
from af3opt.engine.patching import first_unknown
from af3opt.engine.protocols import Molecule

# The engine's own words go where it says them, to be said once a job.
_engine_log = logging.getLogger("absl")

_MODULE = "data.tools.rdkit_utils"
# The engine's function, and the helper that does its work where it has one.
FUNCTION_ALONE = (known(_MODULE, "get_random_conformer", *OLDER),)
FUNCTION_AND_HELPER = (
    known(_MODULE, "get_random_conformer", FORK_3_1_18),
    known(_MODULE, "_embed"),
)


def embedding_known() -> bool:
    """Tells whether the engine's function is one that `embed` may stand in for."""
    return any(first_unknown(way) is None for way in (FUNCTION_ALONE, FUNCTION_AND_HELPER))


def needs_macrocycles(molecule: Molecule) -> bool:
    """Tells whether macrocycle patterns decide any torsion of a molecule.

    Args:
        molecule: RDKit molecule.

    Returns:
        True also when RDKit cannot say.
    """
    from rdkit.Chem import rdDistGeom

    parameters: Molecule = rdDistGeom.ETKDGv3()
    try:
        with_them = _torsions(molecule, parameters)
        parameters.useMacrocycleTorsions = False
        return _torsions(molecule, parameters) != with_them
    except (AttributeError, RuntimeError, ValueError):
        return True  # An RDKit without this question, or a molecule it cannot answer for.


def embed(
    molecule: Molecule, seed: int, max_iterations: int | None, name: str, *, macrocycles: bool
) -> np.ndarray | None:
    """Embeds one conformer.

    Args:
        molecule: RDKit molecule, which is not changed.
        seed: Seed of RDKit's random numbers.
        max_iterations: Limit of RDKit's search, or None for its own.
        name: The component's, for messages.
        macrocycles: What `needs_macrocycles` said.

    Returns:
        float32 (atoms, 3) in Angstrom, or None if RDKit finds none.
    """
    if macrocycles or not embedding_known():
        conformer = engine_module("data.tools.rdkit_utils").get_random_conformer(
            mol=molecule, random_seed=seed, max_iterations=max_iterations, logging_name=name
        )
    else:
        conformer = _embed_without_macrocycles(molecule, seed, max_iterations)
        if conformer is None:
            _engine_log.warning("Failed to generate conformer for: %s", name)
    return None if conformer is None else conformer.GetPositions().astype(np.float32)


def _embed_without_macrocycles(
    molecule: Molecule, seed: int, max_iterations: int | None
) -> Molecule:
    from rdkit.Chem import Mol, rdDistGeom

    # New ones each time: other threads embed with seeds of their own meanwhile.
    parameters: Molecule = rdDistGeom.ETKDGv3()
    parameters.useMacrocycleTorsions = False
    parameters.randomSeed = seed
    if max_iterations is not None:
        parameters.maxIterations = max_iterations
    copy = Mol(molecule)
    try:
        return copy.GetConformer(rdDistGeom.EmbedMolecule(copy, parameters))
    except ValueError:
        return None


def _torsions(molecule: Molecule, parameters: Molecule) -> list[tuple[object, ...]]:
    """Returns RDKit's torsions with all that decides their potential."""
    from rdkit.Chem import rdDistGeom

    return [
        (
            torsion["bondIndex"],
            torsion["smarts"],
            tuple(torsion["atomIndices"]),
            tuple(torsion["signs"]),
            tuple(torsion["V"]),
        )
        for torsion in rdDistGeom.GetExperimentalTorsions(molecule, parameters)
    ]
