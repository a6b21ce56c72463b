"""Atom slots trimmed to those that hold an atom.

The atom attention works on the atoms in a row, in subsets of 32, and the engine makes
as many subsets as 24 atoms a token would fill. A residue of a protein has 8 atoms on
average, so two subsets in three are empty. Real atoms come first, every subset attends
to real atoms only, and nothing reads what the empty ones compute.
"""

import logging
import math
from collections.abc import Mapping

import numpy as np

from af3opt.base.fidelity import REORDERED
from af3opt.engine.protocols import Array
from af3opt.optimizations.atom_transformer import ATOM_CALLERS
from af3opt.optimizations.base import Optimization

_log = logging.getLogger(__name__)

# Atoms a token to make room for; the engine's is 24. Each is a shape of its own to
# compile, so there are few: proteins, mixtures with ligands and nucleotides.
_ATOMS_PER_TOKEN = (9, 12, 16)
_SUBSET_FEATURES = tuple(
    f"{layout}:{part}"
    for layout in (
        "token_atoms_to_queries",
        "tokens_to_queries",
        "tokens_to_keys",
        "queries_to_keys",
    )
    for part in ("gather_idxs", "gather_mask")
)
_SHAPES = ("queries_to_keys:input_shape", "queries_to_token_atoms:input_shape")
_BACK = ("queries_to_token_atoms:gather_idxs", "queries_to_token_atoms:gather_mask")


def trim_atom_slots(batch: Mapping[str, Array]) -> dict[str, Array]:
    """Cuts empty subsets off the end of the atom layouts.

    Args:
        batch: Features with the engine's gather indices: (subsets, 32) for queries,
            (subsets, 128) for keys, (tokens, 24) for the way back; numpy arrays.

    Returns:
        The batch with as many subsets as the atoms need, rounded up to a few sizes;
        unchanged if that is not fewer, or if the layouts are not as expected. Fewer
        atoms than a window has keys leave it unchanged too: such a window reaches into
        empty slots, which the engine does not mask.
    """
    unknown = [name for name in (*_SUBSET_FEATURES, *_SHAPES, *_BACK) if name not in batch]
    if unknown:
        _log.warning(
            "Optimisation %s steps aside: the features have no %s", ATOM_SLOTS.name, unknown[0]
        )
        return dict(batch)
    mask = np.asarray(batch["tokens_to_queries:gather_mask"])
    subsets, atoms_per_subset = mask.shape
    filled = np.flatnonzero(mask.any(axis=1))
    needed = int(filled[-1]) + 1 if filled.size else 1
    tokens = batch["aatype"].shape[-1]
    sizes = (math.ceil(tokens * atoms / atoms_per_subset) for atoms in _ATOMS_PER_TOKEN)
    size = next((size for size in sizes if size >= needed), subsets)
    slots = size * atoms_per_subset
    if size >= subsets or np.max(batch["queries_to_keys:gather_idxs"][:size]) >= slots:
        return dict(batch)
    trimmed = {name: batch[name][:size] for name in _SUBSET_FEATURES}
    for name in _SHAPES:
        trimmed[name] = np.array([size, atoms_per_subset], dtype=batch[name].dtype)
    # A slot without an atom reads from a query without one, which is zero: with the
    # query gone, so is the gather.
    indices, kept = (batch[name] for name in _BACK)
    inside = indices < slots
    trimmed |= zip(_BACK, (np.where(inside, indices, 0), kept & inside), strict=True)
    return {**batch, **trimmed}


ATOM_SLOTS = Optimization(
    name="atom_slots",
    fidelity=REORDERED,
    summary="Atom attention works on the atoms there are, not always on 24 a token.",
    replacements=(),
    # All that the model does with the layouts.
    relies_on=ATOM_CALLERS,
    backends=frozenset({"cpu", "gpu", "mps"}),
)
