"""MSA rows trimmed to those that hold something.

The trunk works through `evoformer.num_msa` rows (1024) however few an MSA has. Rows
beyond the real ones are masked everywhere: they add zeros to the outer product and
nothing reads their own activations. Real rows come first after the engine's
shuffle, and its random draws do not depend on how many empty rows follow.
"""

from collections.abc import Mapping

import numpy as np

from af3opt.base.fidelity import REORDERED
from af3opt.base.padding import padded_size
from af3opt.engine.known_functions import known
from af3opt.engine.protocols import Array, EngineFunction, Tree
from af3opt.optimizations.base import Context, Optimization

_TARGET = known("model.network.featurization", "truncate_msa_batch")
# Depths to round up to: each is a shape of its own to compile.
DEPTHS = (16, 128, 512)
_ROW_FEATURES = ("msa", "msa_mask", "deletion_matrix")


def trim_msa(batch: Mapping[str, Array]) -> dict[str, Array]:
    """Cuts empty rows off the end of the MSA.

    Needs the optimisation in force: the engine's own truncation would read past the
    last row.

    Args:
        batch: Features with `msa`, `msa_mask` and `deletion_matrix`, (rows, tokens)
            each; numpy arrays.

    Returns:
        The batch with as many rows as the real ones need, rounded up to a few sizes;
        unchanged if that is not fewer.
    """
    filled = np.flatnonzero(np.asarray(batch["msa_mask"]).any(axis=1))
    needed = int(filled[-1]) + 1 if filled.size else 1
    rows = batch["msa_mask"].shape[0]
    depth = padded_size(needed, (*DEPTHS, rows))
    if depth >= rows:
        return dict(batch)
    return {**batch, **{name: batch[name][:depth] for name in _ROW_FEATURES}}


def _replace(original: EngineFunction, context: Context) -> EngineFunction:
    del context

    def truncate(msa: Tree, num_msa: int) -> Tree:
        return original(msa, min(num_msa, msa.rows.shape[0]))

    return truncate


MSA_DEPTH = Optimization(
    name="msa_depth",
    fidelity=REORDERED,
    summary="The trunk works through the rows an MSA has, not always through 1024.",
    replacements=((_TARGET, _replace),),
    backends=frozenset({"cpu", "gpu", "mps"}),
)
