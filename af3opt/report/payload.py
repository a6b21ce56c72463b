"""What a job's page is given: everything it shows, as JSON."""

import dataclasses
import datetime

import numpy as np

from af3opt.base.json_types import JsonObject
from af3opt.base.version import __version__
from af3opt.report.alignments import coverage_payload
from af3opt.report.interfaces import interface_payload
from af3opt.report.job import Job, Sample
from af3opt.report.packing import numbers, pack, pack_words, rounded, strict
from af3opt.report.pae import MISSING, STEP, PaeMap
from af3opt.report.superpose import principal_frame, rmsd, superpose
from af3opt.report.tables import scores_csv
from af3opt.scores.reading.files import UnreadableFileError, read_bytes
from af3opt.scores.reading.structure import Structure, Topology
from af3opt.scores.reading.tokens import Tokens

# Characters of all structure files of a page together, packed. The best one is there always.
_MAX_STRUCTURES = 8_000_000
_COORDINATE_STEP = 0.01
# Stand-ins for "not a number" among integers.
_NO_COORDINATE = -(2**31)
_NO_PLDDT = 65535


def job_payload(job: Job) -> JsonObject:
    """Returns the data of a job's page.

    Coordinates are superposed on the best sample's; see `superpose`.
    """
    tables = _Tables()
    shown = [sample for sample in job.samples if sample.structure is not None]
    reference = shown[0].structure if shown else None
    frame = principal_frame(reference) if reference is not None else None
    samples = [_sample(sample, reference, frame, tables) for sample in job.samples]
    for entry, text in zip(samples, _structure_files(job), strict=True):
        entry["cif"] = text
    return {
        "name": job.name,
        "directory": job.files.directory.absolute().name,
        **page_stamp(),
        "synthetic": job.synthetic,
        "problems": job.problems,
        "terms": job.terms,
        "chains": [dataclasses.asdict(chain) for chain in job.chains],
        "alignments": [coverage_payload(shown) for shown in job.alignments],
        "samples": samples,
        "topologies": [_topology(topology) for topology in tables.topologies],
        "tokens": [_tokens(tokens) for tokens in tables.tokens],
        "record": strict(job.record),
        "csv": scores_csv([job]),
    }


def _structure_files(job: Job) -> list[str | None]:
    """The packed mmCIF file of each sample; None once there is no more room, or without one."""
    texts: list[str | None] = []
    used = 0
    for sample in job.samples:
        text = None
        if sample.structure is not None and sample.files.structure is not None:
            try:
                text = pack(np.frombuffer(read_bytes(sample.files.structure), np.uint8))
            except UnreadableFileError:  # It was there a moment ago.
                text = None
        if text is not None and used and used + len(text) > _MAX_STRUCTURES:
            text = None
        used += len(text or "")
        texts.append(text)
    return texts


def page_stamp() -> dict[str, str]:
    """When and by what a page was made."""
    now = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
    return {"generated": now.isoformat(), "version": __version__}


@dataclasses.dataclass(slots=True)
class _Tables:
    """Tables that samples share; each distinct one is embedded once."""

    topologies: list[Topology] = dataclasses.field(default_factory=list)
    tokens: list[Tokens] = dataclasses.field(default_factory=list)

    def topology(self, wanted: Topology) -> int:
        """Index of an equal topology, added if new."""
        for i, known in enumerate(self.topologies):
            if known.same_as(wanted):
                return i
        self.topologies.append(wanted)
        return len(self.topologies) - 1

    def token_table(self, wanted: Tokens) -> int:
        """Index of an equal token table, added if new."""
        for i, known in enumerate(self.tokens):
            if known.same_as(wanted):
                return i
        self.tokens.append(wanted)
        return len(self.tokens) - 1


def _sample(
    sample: Sample, reference: Structure | None, frame: np.ndarray | None, tables: _Tables
) -> JsonObject:
    scores = sample.scores
    result: JsonObject = {
        "label": sample.files.label,
        "seed": sample.files.seed,
        "sample": sample.files.sample,
        "rank": sample.rank,
        "ranking_score": rounded(sample.ranking_score),
        "ptm": rounded(scores.ptm),
        "iptm": rounded(scores.iptm),
        "fraction_disordered": rounded(scores.fraction_disordered),
        "has_clash": scores.has_clash,
        "mean_plddt": rounded(sample.mean_plddt, 2),
        "flags": sample.flags,
        "missing": sample.missing,
        "chain_ids": _chain_ids(sample),
        "chain_ptm": numbers(scores.chain_ptm),
        "chain_iptm": numbers(scores.chain_iptm),
        "chain_pair_iptm": numbers(scores.chain_pair_iptm),
        "chain_pair_pae_min": numbers(scores.chain_pair_pae_min),
        "rmsd": None,
        "topology": None,
        "tokens": None,
        "pae": _pae(sample.pae),
        "interfaces": [interface_payload(shown) for shown in sample.interfaces],
    }
    if sample.structure is not None and reference is not None and frame is not None:
        topology = sample.structure.topology
        result["topology"] = tables.topology(topology)
        if topology.same_as(reference.topology):
            placed = superpose(reference, frame, sample.structure)
            result["rmsd"] = rounded(rmsd(reference, frame, sample.structure, placed), 2)
        else:
            placed = principal_frame(sample.structure)
        result["coordinates"] = _coordinates(placed)
        result["atom_plddt"] = _plddt(sample.structure.b_factors)
    if sample.tokens is not None:
        result["tokens"] = tables.token_table(sample.tokens)
        if sample.token_plddt is not None:
            result["token_plddt"] = _plddt(sample.token_plddt)
    return result


def _chain_ids(sample: Sample) -> list[str]:
    """Chain ids in the order of the chain-level scores, as far as known."""
    if sample.tokens is not None:
        return list(sample.tokens.chain_ids)
    return list(sample.structure.topology.chain_ids) if sample.structure else []


def _coordinates(points: np.ndarray) -> str:
    """Packs [atoms, 3] angstroms as differences of hundredths, one axis after another."""
    finite = np.isfinite(points).all(axis=1)
    differences = np.full(points.shape, _NO_COORDINATE, np.int32)
    # The running sum skips atoms that have no position.
    steps = np.rint(points[finite] / _COORDINATE_STEP).astype(np.int32)
    differences[finite] = np.diff(steps, axis=0, prepend=0)
    return pack(differences.T)


def _plddt(values: np.ndarray) -> str:
    """Packs pLDDT as hundredths, uint16."""
    finite = np.isfinite(values)
    steps = np.clip(np.rint(np.where(finite, values, 0.0) * 100), 0, 10000)
    return pack(np.where(finite, steps, _NO_PLDDT).astype(np.uint16))


def _pae(pae: PaeMap | None) -> JsonObject | None:
    """Packs a PAE map; each value as the difference from its left neighbour, modulo 256."""
    if pae is None:
        return None
    return {
        "side": len(pae.values),
        "tokens": pae.tokens,
        "bin_size": pae.bin_size,
        "step": STEP,
        "missing": MISSING,
        "values": pack(np.diff(pae.values, axis=1, prepend=np.uint8(0))),
    }


def _topology(topology: Topology) -> JsonObject:
    return {
        "chains": [
            {"id": chain, "kind": kind}
            for chain, kind in zip(topology.chain_ids, topology.chain_kinds, strict=True)
        ],
        "residue_chain": pack(topology.residue_chain),
        "residue_number": pack(topology.residue_number),
        "residue_name": pack_words(topology.residue_names),
        "atom_residue": pack(topology.atom_residue),
        "atom_name": pack_words(topology.atom_names),
        "element": pack_words(topology.elements),
    }


def _tokens(tokens: Tokens) -> JsonObject:
    return {
        "chain_ids": list(tokens.chain_ids),
        "chain": pack(tokens.chain),
        "number": pack(tokens.number),
        "residue": pack(tokens.residue),
        "atom": pack(tokens.atom),
    }
