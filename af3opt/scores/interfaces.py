"""Computing all scores of all interfaces of one predicted complex."""

import dataclasses
import itertools
import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from af3opt.scores import lis, pdockq
from af3opt.scores.complexes import Chain, Complex, Residues
from af3opt.scores.contacts import residue_contacts
from af3opt.scores.interface import Interface
from af3opt.scores.ipsae import ipsae
from af3opt.scores.neighbours import close_pairs
from af3opt.scores.surface import atom_radii, buried_area


def score_interfaces(model: Complex) -> list[Interface]:
    """Scores every pair of chains.

    Args:
        model: The complex.

    Returns:
        One entry a pair, in the order of the chains.
    """
    radii = atom_radii(model.structure.topology.elements)
    return [
        _interface(model, first, second, radii)
        for first, second in itertools.combinations(model.chains, 2)
    ]


def _interface(
    model: Complex, first: Chain, second: Chain, radii: NDArray[np.float32]
) -> Interface:
    values = dict(_engine_scores(model, first, second))
    a, b = first.residues, second.residues
    if a is not None and b is not None:
        if model.pae is not None:
            nucleic = first.is_nucleic or second.is_nucleic
            values |= dict(_aligned_error_scores(model, a, b, nucleic=nucleic))
        if first.is_protein and second.is_protein:
            values |= dict(_docking_scores(model, a, b))
    points, one, other = model.structure.coordinates, first.atoms, second.atoms
    values["buried_area"] = buried_area(points[one], radii[one], points[other], radii[other])
    return Interface(
        chains=(first.chain_id, second.chain_id),
        kinds=(first.kind, second.kind),
        contacts=len(residue_contacts(model.structure, first, second)),
        **{name: value for name, value in values.items() if math.isfinite(value)},
    )


def _engine_scores(model: Complex, first: Chain, second: Chain) -> Iterator[tuple[str, float]]:
    """What the engine's summary says of the pair; its smallest PAE is in the matrix as well."""
    summary = model.summary
    order = summary.chain_ids or tuple(chain.chain_id for chain in model.chains)
    if first.chain_id not in order or second.chain_id not in order:
        return
    i, j = order.index(first.chain_id), order.index(second.chain_id)
    iptm, pae_min = summary.chain_pair_iptm, summary.chain_pair_pae_min
    if iptm is not None and len(iptm) == len(order):
        yield "pair_iptm", float(np.fmax(iptm[i, j], iptm[j, i]))
    if pae_min is not None and len(pae_min) == len(order):
        yield "pair_pae_min", float(np.fmin(pae_min[i, j], pae_min[j, i]))
    elif model.pae is not None:
        rows, columns = first.token_rows, second.token_rows
        blocks = (model.pae[np.ix_(rows, columns)], model.pae[np.ix_(columns, rows)])
        yield "pair_pae_min", min(float(np.fmin.reduce(block, axis=None)) for block in blocks)


def _aligned_error_scores(
    model: Complex, a: Residues, b: Residues, *, nucleic: bool
) -> Iterator[tuple[str, float]]:
    """Both directions of ipSAE, and the local interaction scores."""
    assert model.pae is not None
    forward = model.pae[np.ix_(a.tokens, b.tokens)]
    backward = model.pae[np.ix_(b.tokens, a.tokens)]
    for direction, pae in (("ab", forward), ("ba", backward)):
        found = ipsae(pae, nucleic=nucleic)
        yield f"ipsae_{direction}", found.score
        yield f"ipsae_d0chn_{direction}", found.d0chn
        yield f"ipsae_d0dom_{direction}", found.d0dom
    distance = lis.NUCLEIC_CONTACT_DISTANCE if nucleic else lis.CONTACT_DISTANCE
    local = lis.local_interaction(forward, backward, _touching(model, a.facing, b.facing, distance))
    yield from dataclasses.asdict(local).items()


def _docking_scores(model: Complex, a: Residues, b: Residues) -> Iterator[tuple[str, float]]:
    """pDockQ, and pDockQ2 in both directions."""
    touching = _touching(model, a.facing, b.facing, pdockq.CONTACT_DISTANCE)
    yield "pdockq", pdockq.pdockq(model.plddt[a.facing], model.plddt[b.facing], touching)
    if model.pae is None:
        return
    i, j = _touching(model, a.central, b.central, pdockq.CONTACT_DISTANCE)
    pae = model.pae
    forward, backward = pae[a.tokens[i], b.tokens[j]], pae[b.tokens[j], a.tokens[i]]
    yield "pdockq2_ab", pdockq.pdockq2(model.plddt[a.central[i]], forward)
    yield "pdockq2_ba", pdockq.pdockq2(model.plddt[b.central[j]], backward)


def _touching(
    model: Complex, first: NDArray[np.int32], second: NDArray[np.int32], distance: float
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Pairs of residues whose atoms are at most `distance` apart.

    Args:
        model: The complex.
        first: Index of an atom for each residue, -1 without one.
        second: The same of the other chain.
        distance: Largest distance, angstrom.

    Returns:
        Row in `first` and row in `second` of each pair.
    """
    points = model.structure.coordinates
    missing = np.full(3, np.nan, points.dtype)
    i, j, _ = close_pairs(
        np.where((first >= 0)[:, None], points[first], missing),
        np.where((second >= 0)[:, None], points[second], missing),
        distance,
    )
    return i, j
