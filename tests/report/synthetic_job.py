"""Output trees of AlphaFold 3's shape, made without the engine.

A helical protein, a second protein chain, a DNA strand, a ligand and an ion, with
confidences that vary as real ones do: confident cores, floppy ends, chain pairs of
different quality. Nothing here is physics; names, numbering and files are as upstream's.
"""

import csv
import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import zstandard

_CODES = {
    "A": "ALA", "R": "ARG", "N": "ASN", "D": "ASP", "C": "CYS", "Q": "GLN", "E": "GLU",
    "G": "GLY", "H": "HIS", "I": "ILE", "L": "LEU", "K": "LYS", "M": "MET", "F": "PHE",
    "P": "PRO", "S": "SER", "T": "THR", "W": "TRP", "Y": "TYR", "V": "VAL",
}  # fmt: skip
_COLUMNS = (
    "group_PDB", "id", "type_symbol", "label_atom_id", "label_alt_id", "label_comp_id",
    "label_asym_id", "label_entity_id", "label_seq_id", "pdbx_PDB_ins_code", "Cartn_x", "Cartn_y",
    "Cartn_z", "occupancy", "B_iso_or_equiv", "auth_seq_id", "auth_asym_id", "pdbx_PDB_model_num",
)  # fmt: skip
# Cylinder coordinates (radius, degrees, height) of one B-DNA nucleotide, roughly.
_NUCLEOTIDE = {
    "P": (8.9, 95, 2.1), "OP1": (10.2, 91, 1.9), "OP2": (8.8, 103, 3.1), "O5'": (7.7, 95, 2.8),
    "C5'": (7.7, 95, 4.2), "C4'": (7.6, 85, 4.6), "O4'": (6.2, 85, 4.7), "C3'": (8.2, 78, 3.5),
    "O3'": (8.7, 70, 3.8), "C2'": (7.0, 72, 2.6), "C1'": (5.9, 79, 3.4), "N1": (4.6, 73, 3.4),
    "C2": (4.3, 55, 3.4), "N3": (3.2, 40, 3.4), "C4": (2.2, 66, 3.4), "C5": (2.5, 90, 3.4),
    "C6": (3.9, 92, 3.4),
}  # fmt: skip


@dataclasses.dataclass
class Atom:
    name: str
    element: str
    comp: str
    chain: str
    residue: int
    kind: str
    position: np.ndarray
    plddt: float = 0.0


@dataclasses.dataclass
class SyntheticJob:
    """What `write_job` puts on disk.

    Attributes:
        name: Job name; also the file prefix.
        residues: Length of the first protein chain.
        seeds: Seeds.
        samples: Samples for each seed.
        old_layout: Layout of AlphaFold 3.0.0 and 3.0.1.
        compress: zstd for structures and confidences.
        single_chain: Only the first protein chain.
        msa_rows: Rows of each protein's alignment.
        synthetic: Mark the files as af3opt does for synthetic weights.
    """

    name: str = "demo"
    residues: int = 60
    seeds: tuple[int, ...] = (1,)
    samples: int = 2
    old_layout: bool = False
    compress: bool = False
    single_chain: bool = False
    msa_rows: int = 2
    synthetic: bool = False
    description: str = ""
    extra_data: dict[str, Any] = dataclasses.field(default_factory=dict)


def _place(a, b, c, length, angle, torsion):
    """The point at a bond length, angle and torsion from three others."""
    bc = (c - b) / np.linalg.norm(c - b)
    n = np.cross(b - a, bc)
    n /= np.linalg.norm(n)
    angle, torsion = np.radians(angle), np.radians(torsion)
    local = length * np.array(
        [-np.cos(angle), np.sin(angle) * np.cos(torsion), np.sin(angle) * np.sin(torsion)]
    )
    return c + local @ np.stack([bc, np.cross(n, bc), n])


def _protein(sequence: str, chain: str, rng: np.random.Generator) -> list[Atom]:
    """A chain of helices and extended stretches, joined by turns."""
    phi, psi = np.full(len(sequence), -60.0), np.full(len(sequence), -45.0)
    for start in range(14, len(sequence), 18):
        phi[start : start + 4] = rng.uniform(-140, -60, len(phi[start : start + 4]))
        psi[start : start + 4] = rng.uniform(-60, 150, len(psi[start : start + 4]))
    atoms = []
    n, ca, c = np.array([0.0, 0, 0]), np.array([1.46, 0, 0]), np.array([2.0, 1.42, 0])
    for i, letter in enumerate(sequence):
        comp = _CODES[letter]
        if i:
            next_n = _place(n, ca, c, 1.33, 116.2, psi[i - 1])
            next_ca = _place(ca, c, next_n, 1.46, 121.7, 180.0)
            n, ca, c = next_n, next_ca, _place(c, next_n, next_ca, 1.525, 111.2, phi[i])
        o = _place(n, ca, c, 1.23, 120.5, psi[i] + 180)
        placed = [("N", n), ("CA", ca), ("C", c), ("O", o)]
        if comp != "GLY":
            cb = _place(c, n, ca, 1.53, 110.0, -122.0)
            placed += [("CB", cb), ("CG", _place(n, ca, cb, 1.52, 113.0, -65.0))]
        atoms += [
            Atom(name, name[0], comp, chain, i + 1, "polypeptide(L)", p) for name, p in placed
        ]
    return atoms


def _dna(bases: str, chain: str) -> list[Atom]:
    atoms = []
    for i, base in enumerate(bases):
        for name, (radius, degrees, height) in _NUCLEOTIDE.items():
            angle = np.radians(degrees + 36 * i)
            where = np.array([radius * np.cos(angle), radius * np.sin(angle), height + 3.4 * i])
            element = name[0]
            kind = "polydeoxyribonucleotide"
            atoms.append(Atom(name, element, f"D{base}", chain, i + 1, kind, where))
    return atoms


def _ligand(chain: str) -> list[Atom]:
    ring = [np.array([1.4 * np.cos(a), 1.4 * np.sin(a), 0]) for a in np.arange(6) * np.pi / 3]
    names = [*(f"C{i + 1}" for i in range(6)), "O1'", "N1"]
    points = [*ring, np.array([2.8, 0, 0]), np.array([-2.8, 0, 0])]
    return [Atom(n, n[0], "LIG", chain, 1, "", p) for n, p in zip(names, points, strict=True)]


def build_atoms(job: SyntheticJob) -> list[Atom]:
    """All atoms of the job, chains placed side by side, most compact of a few tries."""
    rng = np.random.default_rng(7)
    letters = "".join(rng.choice(list("AELKLVRDQSTIFGNM"), job.residues))
    tries = [_protein(letters, "A", np.random.default_rng(seed)) for seed in range(12)]
    chain_a = min(tries, key=lambda atoms: float(np.ptp([a.position for a in atoms], axis=0).max()))
    if job.single_chain:
        return chain_a
    chain_b = _protein("GSHMKELLAAVKRLEEEGKISPEELKKLLE"[: max(10, job.residues // 2)], "B", rng)
    chains = [chain_a, chain_b, _dna("ACGTACGTAC", "C"), _ligand("D")]
    chains.append([Atom("MG", "MG", "MG", "E", 1, "", np.zeros(3))])
    edge = 0.0
    for atoms in chains:
        points = np.array([atom.position for atom in atoms])
        shift = np.array([edge - points[:, 0].min(), *-points[:, 1:].mean(axis=0)])
        edge += np.ptp(points[:, 0]) + 4.0
        for atom in atoms:
            atom.position = atom.position + shift
    return [atom for atoms in chains for atom in atoms]


def _tokens(atoms: list[Atom]) -> tuple[list[str], list[int], np.ndarray]:
    """Chain and residue number of each token, and the token of each atom."""
    chains, numbers, owner = [], [], []
    previous = None
    for atom in atoms:
        key = (atom.chain, atom.residue)
        if key != previous or not atom.kind:
            chains.append(atom.chain)
            numbers.append(atom.residue)
        previous = key
        owner.append(len(chains) - 1)
    return chains, numbers, np.array(owner)


def _confidences(atoms: list[Atom], quality: float, rng: np.random.Generator):
    """Token pLDDT, PAE and contact probabilities; `quality` is between 0 and 1."""
    chains, numbers, owner = _tokens(atoms)
    count = len(chains)
    position = np.array([np.mean([a.position for a, o in zip(atoms, owner, strict=True) if o == t],
                                 axis=0) for t in range(count)])  # fmt: skip
    dips = np.convolve(rng.normal(0, 1, count + 30), np.ones(31) / 31, "valid")[:count] * 60
    plddt = np.clip(62 + 36 * quality + dips, 22, 98.5)
    ends = np.array([numbers[i] < 5 and chains[i] in "AB" for i in range(count)])
    plddt[ends] = np.minimum(plddt[ends], 45)
    distance = np.linalg.norm(position[:, None] - position[None], axis=-1)
    weak = 1 - np.minimum(plddt[:, None], plddt[None]) / 100
    order = {chain: i for i, chain in enumerate(dict.fromkeys(chains))}
    index = np.array([order[chain] for chain in chains])
    apart = np.where(index[:, None] == index[None], 0, 4 + 5 * np.abs(index[:, None] - index[None]))
    pae = 0.8 + 0.12 * distance * (1.3 - quality) + 22 * weak + apart * (1.4 - quality)
    pae = np.clip(pae + rng.normal(0, 0.4, pae.shape), 0.2, 31.75)
    np.fill_diagonal(pae, 0.8)
    return plddt, pae, np.round(1 / (1 + np.exp(distance - 8)), 2), chains, numbers, owner


def _mmcif(job: SyntheticJob, atoms: list[Atom]) -> str:
    """An mmCIF file like the engine's, quotes and a semicolon text included."""
    lines = ["# Made with random synthetic weights by af3opt"] if job.synthetic else []
    lines += [f"data_{job.name.split()[0]}", "#", "_entry.id demo", "#", "loop_"]
    lines += [f"_entity_poly.{item}" for item in ("entity_id", "type", "pdbx_seq_one_letter_code")]
    entities = {chain: i + 1 for i, chain in enumerate(dict.fromkeys(a.chain for a in atoms))}
    for chain, entity in entities.items():
        kind = next(a.kind for a in atoms if a.chain == chain)
        if kind:
            lines += [f"{entity} {kind}", ";_atom_site.is not here", "ACGT", ";"]
    lines += ["#", "loop_", *(f"_atom_site.{column}" for column in _COLUMNS)]
    for i, atom in enumerate(atoms):
        name = f'"{atom.name}"' if "'" in atom.name else atom.name
        x, y, z = atom.position
        sequence = atom.residue if atom.kind else "."
        lines.append(
            f"{'ATOM' if atom.kind else 'HETATM'} {i + 1} {atom.element} {name} . {atom.comp} "
            f"{atom.chain} {entities[atom.chain]} {sequence} ? {x:.3f} {y:.3f} {z:.3f} 1.00 "
            f"{atom.plddt:.2f} {atom.residue} {atom.chain} 1"
        )
    return "\n".join([*lines, "#", ""])


def _rotation(rng: np.random.Generator) -> np.ndarray:
    q, r = np.linalg.qr(rng.normal(size=(3, 3)))
    q = q * np.sign(np.diag(r))
    return q if np.linalg.det(q) > 0 else -q


def _summary(job, pae, plddt, chains, quality) -> dict[str, Any]:
    labels = list(dict.fromkeys(chains))
    index = np.array([labels.index(chain) for chain in chains])
    minimum = [[float(pae[np.ix_(index == i, index == j)].min()) for j in range(len(labels))]
               for i in range(len(labels))]  # fmt: skip
    pairs = np.clip(0.95 - np.array(minimum) / 16, 0.03, 0.97)
    iptm = None if len(labels) == 1 else round(float(pairs.mean()), 2)
    nested: list[list[float | None]] = np.round(pairs, 2).tolist()
    if len(labels) > 4:
        nested[4][4] = None  # an ion has no pTM of its own
    summary = {
        "chain_iptm": [None] if iptm is None else np.round(pairs.mean(axis=1), 2).tolist(),
        "chain_pair_iptm": nested,
        "chain_pair_pae_min": np.round(minimum, 2).tolist(),
        "chain_ptm": np.round(np.diag(pairs), 2).tolist(),
        "fraction_disordered": round(float((plddt < 50).mean()), 2),
        "has_clash": float(quality < 0.35),
        "iptm": iptm,
        "ptm": round(0.4 + 0.5 * quality, 2),
        "ranking_score": round(0.3 + 0.6 * quality, 2),
    }
    if job.synthetic:
        summary["af3opt_note"] = "Made with random synthetic weights by af3opt"
    return summary


def _write(path: Path, text: str, compress: bool) -> None:
    if compress:
        with zstandard.open(path.with_name(path.name + ".zst"), "wt", encoding="utf-8") as stream:
            stream.write(text)
    else:
        path.write_text(text, encoding="utf-8")


def write_job(root: Path, job: SyntheticJob) -> Path:
    """Writes the job's directory below `root` and returns it."""
    directory = root / "".join(c if c.isalnum() or c in "-_." else "_" for c in job.name).lower()
    directory.mkdir(parents=True)
    prefix = directory.name
    base = build_atoms(job)
    rows = []
    best: tuple[float, dict[str, str]] = (-1.0, {})
    for seed in job.seeds:
        for sample in range(job.samples):
            rng = np.random.default_rng([seed, sample])
            quality = float(np.clip(0.92 - 0.17 * sample - 0.05 * (seed - 1), 0.1, 1))
            plddt, pae, contacts, chains, numbers, owner = _confidences(base, quality, rng)
            turn = _rotation(rng)
            moved = [
                dataclasses.replace(
                    atom,
                    position=(atom.position + rng.normal(0, 0.3 * (1 - quality), 3)) @ turn,
                    plddt=float(plddt[token]),
                )
                for atom, token in zip(base, owner, strict=True)
            ]
            summary = _summary(job, pae, plddt, chains, quality)
            full = {
                "atom_chain_ids": [a.chain for a in moved],
                "atom_plddts": [round(a.plddt, 2) for a in moved],
                "contact_probs": contacts.tolist(),
                "pae": np.round(pae, 1).tolist(),
                "token_chain_ids": chains,
                "token_res_ids": numbers,
            }
            texts = {
                "model.cif": _mmcif(job, moved),
                "confidences.json": json.dumps(full),
                "summary_confidences.json": json.dumps(summary, indent=1),
            }
            inner = directory / f"seed-{seed}_sample-{sample}"
            inner.mkdir()
            start = "" if job.old_layout else f"{prefix}_{inner.name}_"
            for ending, text in texts.items():
                _write(inner / f"{start}{ending}", text, job.compress and "summary" not in ending)
            rows.append((seed, sample, summary["ranking_score"]))
            if summary["ranking_score"] > best[0]:
                best = (summary["ranking_score"], texts)
    for ending, text in best[1].items():
        _write(directory / f"{prefix}_{ending}", text, job.compress and "summary" not in ending)
    name = "ranking_scores.csv" if job.old_layout else f"{prefix}_ranking_scores.csv"
    with (directory / name).open("w", newline="") as stream:
        csv.writer(stream).writerows([("seed", "sample", "ranking_score"), *rows])
    (directory / "TERMS_OF_USE.md").write_text("# Terms\n\nNon-commercial use only.\n")
    (directory / f"{prefix}_data.json").write_text(json.dumps(_data(job, base)))
    return directory


def build_alignment(sequence: str, rows: int) -> str:
    """A3M text of relatives: the further down, the less alike and the shorter."""
    rng = np.random.default_rng(11)
    query = np.array(list(sequence))
    lines = [">query", sequence]
    for row in range(1, rows):
        share = row / rows
        changed = rng.random(len(query)) < 0.1 + 0.7 * share
        letters = np.where(changed, rng.choice(list("ADEGKLRST"), len(query)), query)
        missing = int(0.6 * share * rng.random() * len(query))
        start = int(rng.integers(0, 2)) * (len(query) - missing)
        letters[start : start + missing] = "-"
        lines += [f">hit_{row}", "".join(letters[:3]) + "gk" + "".join(letters[3:])]
    return "\n".join([*lines, ""])


def _data(job: SyntheticJob, atoms: list[Atom]) -> dict[str, Any]:
    """The processed input."""
    short = {code: letter for letter, code in _CODES.items()}
    sequences: list[dict[str, Any]] = []
    for chain in dict.fromkeys(a.chain for a in atoms):
        residues = {a.residue: a.comp for a in atoms if a.chain == chain}
        kind = next(a.kind for a in atoms if a.chain == chain)
        body: dict[str, Any] = {"id": chain, "description": job.description}
        if kind == "polypeptide(L)":
            body["sequence"] = "".join(short[c] for c in residues.values())
            alignment = build_alignment(body["sequence"], job.msa_rows)
            body |= {"unpairedMsa": alignment, "pairedMsa": "", "templates": []}
            sequences.append({"protein": body})
        elif kind:
            body["sequence"] = "".join(c[1] for c in residues.values())
            sequences.append({"dna": body})
        else:
            body["ccdCodes"] = list(residues.values())
            sequences.append({"ligand": body})
    return {
        "dialect": "alphafold3", "version": 3, "name": job.name, "modelSeeds": list(job.seeds),
        "sequences": sequences, **job.extra_data,
    }  # fmt: skip
