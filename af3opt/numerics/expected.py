"""Which summary values are undefined by design for a given input.

ipTM needs two chains, and every score that is read along a row of the PAE needs
tokens with a frame: three atoms that are not on a line. An ion has none. The
engine answers NaN there, written as `null`; these are not errors. Rules derived
from the engine's `model.confidences` (predicted_tm_score, chain_pair_pae,
chain_pairwise_predicted_tm_scores, get_iptm_xchain).
"""

import dataclasses
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from af3opt.engine.protocols import Features, Tree
from af3opt.numerics.verdict import ArrayFinding


@dataclasses.dataclass(frozen=True, slots=True)
class UndefinedByDesign:
    """True where a summary value has no definition for this input.

    Attributes:
        ptm: pTM, and with it the ranking score: no token has a frame.
        iptm: ipTM: a single chain, or no token of several chains has a frame.
        chain_pair_pae_min: (chains, chains): the row's chain has no frame.
        chain_pair_iptm: (chains, chains): neither chain has a frame; the
            diagonal is the chain's own pTM.
        chain_iptm: (chains,): every pair with another chain is undefined.
    """

    ptm: bool
    iptm: bool
    chain_pair_pae_min: NDArray[np.bool_]
    chain_pair_iptm: NDArray[np.bool_]
    chain_iptm: NDArray[np.bool_]

    @classmethod
    def from_batch(cls, batch: Features) -> "UndefinedByDesign":
        """Derives it from a featurised batch (the engine's batch dictionary)."""
        num_tokens = int(np.asarray(batch["seq_length"]).item())
        asym_id = np.asarray(batch["asym_id"])[:num_tokens]
        frames = np.asarray(batch["frames_mask"])[:num_tokens].astype(bool)
        chains = np.unique(asym_id)
        framed = np.array([frames[asym_id == chain].any() for chain in chains], dtype=bool)
        neither = ~(framed[:, None] | framed[None, :])
        others = ~np.eye(len(chains), dtype=bool)
        return cls(
            ptm=not framed.any(),
            iptm=len(chains) < 2 or not framed.any(),
            chain_pair_pae_min=np.repeat(~framed[:, None], len(chains), axis=1),
            chain_pair_iptm=neither,
            chain_iptm=(neither | ~others).all(axis=1),
        )

    def by_field(self) -> dict[str, NDArray[np.bool_]]:
        """The same, keyed by the names of the engine's per-sample metadata."""
        return {
            "ptm": np.asarray(self.ptm),
            "iptm": np.asarray(self.iptm),
            "ranking_score": np.asarray(self.ptm),
            "chain_pair_pae_min": self.chain_pair_pae_min,
            "chain_pair_iptm": self.chain_pair_iptm,
            "iptm_ichain": np.diagonal(self.chain_pair_iptm),
            "iptm_xchain": self.chain_iptm,
        }


# Written for every sample and defined for every input.
_ALWAYS_DEFINED = ("fraction_disordered", "has_clash")


def check_summary(
    metadata: Mapping[str, Tree], undefined: UndefinedByDesign
) -> tuple[ArrayFinding, ...]:
    """Finds summary values of one sample that are non-finite without being meant to be.

    Args:
        metadata: One sample's `InferenceResult.metadata`.
        undefined: What has no definition for this input.

    Returns:
        A finding for each field with such values.
    """
    allowed = {name: np.asarray(False) for name in _ALWAYS_DEFINED} | undefined.by_field()
    findings = []
    for name, may_be_nan in allowed.items():
        if metadata.get(name) is None:
            continue
        values = np.asarray(metadata[name], dtype=float)
        nan = int((np.isnan(values) & ~may_be_nan).sum())
        infinite = int(np.isinf(values).sum())
        if nan or infinite:
            findings.append(
                ArrayFinding(path=name, nan=(nan,), infinite=(infinite,), per_sample=False)
            )
    return tuple(findings)
