"""Small complexes in AlphaFold 3's files, made alike on every machine.

Helices that pack against each other, a DNA duplex beside them, modified residues, a ligand
and an ion. Geometry is ideal and confidences follow distance, so that every score has
something to count. Noise comes from a hash, not from a generator whose stream could change.
"""

import dataclasses
import json
from pathlib import Path

import numpy as np

from af3opt.scores.reading.layout import SampleFiles

# Radius, angstrom, degrees and height, angstrom, around the axis of an ideal helix; a residue
# adds 100 degrees and 1.5 angstrom.
_HELIX = {
    "N": (1.55, -27.0, -0.86), "CA": (2.29, 0.0, 0.0), "C": (1.64, 26.5, 1.06),
    "O": (2.02, 30.0, 2.25), "CB": (3.29, -19.0, -0.6), "CG": (4.6, -12.0, -0.2),
}  # fmt: skip
_NUCLEOTIDE = {
    "P": (8.9, 95, 2.1), "OP1": (10.2, 91, 1.9), "OP2": (8.8, 103, 3.1), "O5'": (7.7, 95, 2.8),
    "C5'": (7.7, 95, 4.2), "C4'": (7.6, 85, 4.6), "O4'": (6.2, 85, 4.7), "C3'": (8.2, 78, 3.5),
    "O3'": (8.7, 70, 3.8), "C2'": (7.0, 72, 2.6), "C1'": (5.9, 79, 3.4), "N1": (4.6, 73, 3.4),
    "C2": (4.3, 55, 3.4), "N3": (3.2, 40, 3.4), "C4": (2.2, 66, 3.4), "C5": (2.5, 90, 3.4),
    "C6": (3.9, 92, 3.4),
}  # fmt: skip
_MODIFIED = {"SEP": ("OG", "P", "O1P"), "MSE": ("SE", "CE")}
_PROTEIN, _DNA = "polypeptide(L)", "polydeoxyribonucleotide"
_COLUMNS = (
    "group_PDB", "id", "type_symbol", "label_atom_id", "label_alt_id", "label_comp_id",
    "label_asym_id", "label_entity_id", "label_seq_id", "pdbx_PDB_ins_code", "Cartn_x", "Cartn_y",
    "Cartn_z", "occupancy", "B_iso_or_equiv", "auth_seq_id", "auth_asym_id", "pdbx_PDB_model_num",
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Atom:
    chain: str
    kind: str
    number: int
    comp: str
    name: str
    position: np.ndarray

    @property
    def element(self) -> str:
        return {"SE": "SE", "MG": "MG"}.get(self.name, self.name[0])

    @property
    def own_token(self) -> bool:
        return not self.kind or self.comp in _MODIFIED


def _cylinder(radius, degrees, height):
    angle = np.radians(degrees)
    return np.array([radius * np.cos(angle), radius * np.sin(angle), height])


def helix(chain, sequence, shift, turn=0.0, flip=False):
    """Atoms of a helix along z; `turn` degrees around it, upside down if `flip`."""
    atoms = []
    for i, comp in enumerate(sequence):
        names = [name for name in _HELIX if comp != "GLY" or name not in ("CB", "CG")]
        for name in names:
            radius, degrees, height = _HELIX[name]
            point = _cylinder(radius, degrees + 100 * i + turn, height + 1.5 * i)
            atoms.append((i + 1, comp, name, point))
        for k, name in enumerate(_MODIFIED.get(comp, ())):
            point = _cylinder(5.6 + 1.3 * k, 100 * i + turn - 10, 1.5 * i + 0.4)
            atoms.append((i + 1, comp, name, point))
    middle = np.array([0, 0, 0.75 * len(sequence)])
    sign = np.array([1, -1, -1]) if flip else np.ones(3)
    return [
        Atom(chain, _PROTEIN, number, comp, name, (point - middle) * sign + shift)
        for number, comp, name, point in atoms
    ]


def strand(chain, bases, shift, flip=False):
    """Atoms of one strand of a DNA duplex along z."""
    sign = np.array([1, -1, -1]) if flip else np.ones(3)
    middle = np.array([0, 0, 1.7 * len(bases)])
    return [
        Atom(chain, _DNA, i + 1, f"D{base}", name,
             (_cylinder(radius, degrees + 36 * i, height + 3.4 * i) - middle) * sign + shift)
        for i, base in enumerate(bases)
        for name, (radius, degrees, height) in _NUCLEOTIDE.items()
    ]  # fmt: skip


def ligand(chain, shift):
    ring = [_cylinder(1.4, 60 * i, 0.0) for i in range(6)]
    points = [*ring, np.array([2.8, 0, 0]), np.array([-2.8, 0, 0])]
    names = [*(f"C{i + 1}" for i in range(6)), "O1", "N1"]
    return [Atom(chain, "", 1, "LIG", n, p + shift) for n, p in zip(names, points, strict=True)]


def ion(chain, shift):
    return [Atom(chain, "", 1, "MG", "MG", np.array(shift, float))]


_CYCLE = ("LEU", "ALA", "GLU", "LYS", "GLY", "ARG", "VAL", "ASP", "ILE", "SER")


def sequence(length, first=0):
    return [_CYCLE[(3 * i + first) % len(_CYCLE)] for i in range(length)]


def heterodimer():
    """Two proteins, one with modified residues, packed side by side."""
    marked = sequence(44)
    marked[20], marked[27] = "SEP", "MSE"
    return helix("A", marked, np.zeros(3)) + helix("B", sequence(36, 4), [8.6, 0, 3], 150, True)


def protein_dna():
    """A helix along a duplex, with a ligand and an ion."""
    return (
        helix("A", sequence(40, 1), np.array([0.0, 0, 0]))
        + strand("B", "ACGTTGCAAC", [14.6, 0, 0])
        + strand("C", "GTTGCAACGT", [14.6, 0, 0], flip=True)
        + ligand("D", [-7.6, 0.5, 2])
        + ion("E", [-5.5, -4.0, -6])
    )


def trimer():
    """Three copies around an axis, with chain ids that are not in alphabetical order."""
    copies = []
    for k, chain in enumerate("BCA"):
        shift = _cylinder(5.2, 120 * k, 0.0)
        copies += helix(chain, sequence(38, 2), shift, turn=120 * k + 180)
    return copies


def _noise(i, j, salt):
    """Pseudo-random numbers between -1 and 1, from whole numbers only."""
    x = (i.astype(np.uint64) * np.uint64(73856093)) ^ (j.astype(np.uint64) * np.uint64(19349663))
    x ^= np.uint64(83492791 * (salt + 1))
    for _ in range(2):
        x = (x * np.uint64(6364136223846793005) + np.uint64(1442695040888963407)) >> np.uint64(7)
    return (x % np.uint64(2001)).astype(np.float64) / 1000 - 1


def tokens_of(atoms):
    """Chain and number of each token, and the token of each atom."""
    listed, owner, previous = [], [], None
    for atom in atoms:
        key = (atom.chain, atom.number)
        if key != previous or atom.own_token:
            listed.append(key)
        previous = key
        owner.append(len(listed) - 1)
    return listed, np.array(owner)


def confidences(atoms, trust, salt):
    """pLDDT of each atom and PAE; `trust` between chains is from 0 to 1."""
    listed, owner = tokens_of(atoms)
    count = len(listed)
    points = np.array([atom.position for atom in atoms])
    centre = np.array([points[owner == t].mean(axis=0) for t in range(count)])
    i, j = np.meshgrid(np.arange(count), np.arange(count), indexing="ij")
    distance = np.linalg.norm(centre[:, None] - centre[None], axis=-1)
    chain = np.array([key[0] for key in listed])
    other = chain[:, None] != chain[None]
    # The first residues of every polymer are floppy.
    loose = np.array([number <= 6 and (chain == name).sum() > 8 for name, number in listed])
    doubt = 11 * (1 - trust) + 9.0 * (loose[:, None] | loose[None])
    pae = 0.8 + 0.1 * distance + other * doubt + 1.2 * _noise(i, j, salt)
    atom_index = np.arange(len(atoms))
    plddt = 84 + 9 * np.cos(owner / 5.0) + 3 * _noise(atom_index, owner, salt)
    return np.round(np.clip(plddt, 5, 99), 2), np.round(np.clip(pae, 0.2, 31.7), 1)


def mmcif(atoms, plddt):
    """The atoms as the engine writes them."""
    entities = {chain: i + 1 for i, chain in enumerate(dict.fromkeys(a.chain for a in atoms))}
    lines = ["data_model", "#", "loop_", "_entity_poly.entity_id", "_entity_poly.type"]
    kinds = {atom.chain: atom.kind for atom in atoms}
    lines += [f"{entities[chain]} {kind}" for chain, kind in kinds.items() if kind]
    lines += ["#", "loop_", *(f"_atom_site.{column}" for column in _COLUMNS)]
    for i, (atom, value) in enumerate(zip(atoms, plddt, strict=True)):
        name = f'"{atom.name}"' if "'" in atom.name else atom.name
        x, y, z = atom.position
        lines.append(
            f"{'HETATM' if atom.own_token else 'ATOM'} {i + 1} {atom.element} {name} . {atom.comp} "
            f"{atom.chain} {entities[atom.chain]} {atom.number if atom.kind else '.'} ? "
            f"{x:.3f} {y:.3f} {z:.3f} 1.00 {value:.2f} {atom.number} {atom.chain} 1"
        )
    return "\n".join([*lines, "#", ""])


def write_model(directory: Path, atoms, trust=0.9, salt=0) -> SampleFiles:
    """Writes a sample's files and returns where they are."""
    plddt, pae = confidences(atoms, trust, salt)
    listed, _ = tokens_of(atoms)
    chains = list(dict.fromkeys(key[0] for key in listed))
    owner = np.array([chains.index(key[0]) for key in listed])
    blocks = [[pae[np.ix_(owner == a, owner == b)] for b in range(len(chains))]
              for a in range(len(chains))]  # fmt: skip
    summary = {
        "chain_pair_iptm": [
            [round(float(1 / (1 + b.mean() / 12)), 2) for b in row] for row in blocks
        ],
        "chain_pair_pae_min": [[float(b.min()) for b in row] for row in blocks],
        "ranking_score": trust,
    }
    full = {
        "atom_chain_ids": [atom.chain for atom in atoms],
        "atom_plddts": plddt.tolist(),
        "contact_probs": np.zeros_like(pae).tolist(),
        "pae": pae.tolist(),
        "token_chain_ids": [key[0] for key in listed],
        "token_res_ids": [key[1] for key in listed],
    }
    directory.mkdir(parents=True, exist_ok=True)
    texts = {
        "model.cif": mmcif(atoms, plddt),
        "confidences.json": json.dumps(full),
        "summary_confidences.json": json.dumps(summary),
    }
    for name, text in texts.items():
        (directory / name).write_text(text)
    return SampleFiles(
        label=directory.name, seed=None, sample=None, mark="",
        structure=directory / "model.cif", confidences=directory / "confidences.json",
        summary=directory / "summary_confidences.json",
    )  # fmt: skip


COMPLEXES = {"heterodimer": heterodimer, "protein_dna": protein_dna, "trimer": trimer}
