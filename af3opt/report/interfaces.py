"""The interfaces of a sample as its page shows them: scores, and the residues that touch."""

import dataclasses
import itertools

import numpy as np

from af3opt.base.json_types import JsonObject
from af3opt.report.packing import pack
from af3opt.scores.complexes import build_complex
from af3opt.scores.contacts import residue_contacts
from af3opt.scores.interface import Interface
from af3opt.scores.interfaces import score_interfaces
from af3opt.scores.reading.confidences import Confidences, Scores
from af3opt.scores.reading.structure import Structure
from af3opt.scores.reading.tokens import Tokens


@dataclasses.dataclass(frozen=True, slots=True)
class ShownInterface:
    """One interface.

    Attributes:
        scores: Its scores, rounded.
        contacts: Residues in contact by index in the topology, int32 [contacts, 2].
    """

    scores: Interface
    contacts: np.ndarray

    def without_contacts(self) -> "ShownInterface":
        """The same with the scores alone."""
        return ShownInterface(self.scores, self.contacts[:0].copy())


def shown_interfaces(
    structure: Structure, confidences: Confidences, tokens: Tokens, summary: Scores
) -> tuple[ShownInterface, ...]:
    """Scores all pairs of chains; see `build_complex` for the arguments."""
    model = build_complex(structure, confidences, tokens, summary)
    pairs = itertools.combinations(model.chains, 2)
    return tuple(
        ShownInterface(interface.rounded(), residue_contacts(structure, *pair))
        for interface, pair in zip(score_interfaces(model), pairs, strict=True)
    )


def interface_payload(shown: ShownInterface) -> JsonObject:
    """What the page is given of one interface."""
    scores = shown.scores
    return {
        "chains": list(scores.chains),
        "kinds": list(scores.kinds),
        "ipsae_min": scores.smaller("ipsae"),
        "ipsae_max": scores.larger("ipsae"),
        "pdockq": scores.pdockq,
        "pdockq2": scores.larger("pdockq2"),
        "lis": scores.lis,
        "ilis": scores.ilis,
        "pair_iptm": scores.pair_iptm,
        "pair_pae_min": scores.pair_pae_min,
        "contacts": scores.contacts,
        "buried_area": scores.buried_area,
        "residues": pack(shown.contacts.T),
    }
