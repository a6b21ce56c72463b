"""One predicted structure as arrays: what the viewer and the per-token plots need."""

import dataclasses
from pathlib import Path

import numpy as np

from af3opt.scores.reading.files import UnreadableFileError, read_text
from af3opt.scores.reading.mmcif import read_category

_POLYMER_KINDS = {
    "polypeptide(L)": "protein",
    "polypeptide(D)": "protein",
    "polyribonucleotide": "RNA",
    "polydeoxyribonucleotide": "DNA",
    "polydeoxyribonucleotide/polyribonucleotide hybrid": "DNA/RNA",
}
_AMINO_ACIDS = frozenset(
    (
        "ALA", "ARG", "ASN", "ASP", "CYS", "GLN", "GLU", "GLY", "HIS", "ILE", "LEU", "LYS", "MET",
        "PHE", "PRO", "SER", "THR", "TRP", "TYR", "VAL", "UNK",
    )
)  # fmt: skip
_RNA = frozenset(("A", "C", "G", "U", "N"))
_DNA = frozenset(("DA", "DC", "DG", "DT", "DN"))
# Residues that AlphaFold 3 gives one token; every other residue gets one per atom.
STANDARD_RESIDUES = _AMINO_ACIDS | _RNA | _DNA


@dataclasses.dataclass(frozen=True, slots=True)
class Topology:
    """What the samples of one job share: chains, residues and atom names.

    Attributes:
        chain_ids: Chain identifiers in file order.
        chain_kinds: "protein", "DNA", "RNA", "DNA/RNA" or "ligand", per chain.
        residue_chain: Chain index of each residue, int32 [residues].
        residue_number: Residue number as in the file, int32 [residues].
        residue_names: Component code of each residue.
        atom_residue: Residue index of each atom, int32 [atoms].
        atom_names: Atom names.
        elements: Element symbols.
    """

    chain_ids: tuple[str, ...]
    chain_kinds: tuple[str, ...]
    residue_chain: np.ndarray
    residue_number: np.ndarray
    residue_names: tuple[str, ...]
    atom_residue: np.ndarray
    atom_names: tuple[str, ...]
    elements: tuple[str, ...]

    def same_as(self, other: "Topology") -> bool:
        """Tells whether both describe the same atoms in the same order."""
        return (
            self.chain_ids == other.chain_ids
            and self.residue_names == other.residue_names
            and self.atom_names == other.atom_names
            and np.array_equal(self.atom_residue, other.atom_residue)
            and np.array_equal(self.residue_number, other.residue_number)
        )


@dataclasses.dataclass(frozen=True, slots=True)
class Structure:
    """A predicted structure.

    Attributes:
        topology: Names and numbering.
        coordinates: float32 [atoms, 3], in angstrom; NaN where the file has no number.
        b_factors: pLDDT per atom, float32 [atoms], 0-100; NaN where absent.
        comment: Comment lines before the first data block.
    """

    topology: Topology
    coordinates: np.ndarray
    b_factors: np.ndarray
    comment: str


def read_structure(path: Path) -> Structure:
    """Reads the first model of an mmCIF file.

    Args:
        path: A `.cif` or `.cif.zst` file.

    Raises:
        UnreadableFileError: it cannot be read or has no usable atoms.
    """
    text = read_text(path)
    columns = read_category(text, "_atom_site")
    needed = ("label_atom_id", "label_comp_id", "Cartn_x", "Cartn_y", "Cartn_z")
    missing = [name for name in needed if name not in columns]
    if missing or not columns[needed[0]]:
        what = f"no column _atom_site.{missing[0]}" if missing else "no atoms"
        raise UnreadableFileError(path, f"{what}; truncated or not an mmCIF file")
    columns = _first_model(columns)
    topology = _topology(columns, _entity_kinds(text))
    coordinates = np.stack([_floats(columns[f"Cartn_{axis}"]) for axis in "xyz"], axis=1)
    count = len(coordinates)
    b_factors = _floats(columns.get("B_iso_or_equiv", ["?"] * count))
    return Structure(topology, coordinates, b_factors, text[: max(text.find("data_"), 0)])


def _first_model(columns: dict[str, list[str]]) -> dict[str, list[str]]:
    """Keeps the rows of the first model."""
    numbers = columns.get("pdbx_PDB_model_num")
    if not numbers or numbers[0] == numbers[-1]:
        return columns
    kept = [i for i, number in enumerate(numbers) if number == numbers[0]]
    return {name: [values[i] for i in kept] for name, values in columns.items()}


def _floats(values: list[str]) -> np.ndarray:
    """Parses numbers, NaN for anything else; float32 [len(values)]."""
    try:
        return np.array(values, dtype=np.float32)
    except ValueError:
        return np.array([_float_or_nan(value) for value in values], dtype=np.float32)


def _float_or_nan(value: str) -> float:
    try:
        return float(value)
    except ValueError:
        return float("nan")


def _entity_kinds(text: str) -> dict[str, str]:
    """Maps entity ids to polymer kinds, from _entity_poly."""
    columns = read_category(text, "_entity_poly")
    pairs = zip(columns.get("entity_id", []), columns.get("type", []), strict=False)
    return {entity: _POLYMER_KINDS[kind] for entity, kind in pairs if kind in _POLYMER_KINDS}


def _topology(columns: dict[str, list[str]], entity_kinds: dict[str, str]) -> Topology:
    """Groups atoms into residues and chains; atoms of one residue are consecutive."""
    names = columns["label_atom_id"]
    count = len(names)
    unknown = ["?"] * count
    comps = columns["label_comp_id"]
    chains = columns.get("auth_asym_id") or columns.get("label_asym_id") or unknown
    numbers = columns.get("auth_seq_id") or columns.get("label_seq_id") or unknown
    entities = columns.get("label_entity_id") or unknown
    chain_index: dict[str, int] = {}
    chain_entity: list[str] = []
    residue_chain: list[int] = []
    residue_number: list[int] = []
    residue_names: list[str] = []
    atom_residue = np.empty(count, np.int32)
    previous: tuple[str, str, str] | None = None
    for i, key in enumerate(zip(chains, numbers, comps, strict=True)):
        if key != previous:
            chain, number, comp = previous = key
            if chain not in chain_index:
                chain_index[chain] = len(chain_index)
                chain_entity.append(entities[i])
            residue_chain.append(chain_index[chain])
            residue_number.append(_residue_number(number))
            residue_names.append(comp)
        atom_residue[i] = len(residue_names) - 1
    kinds = _chain_kinds(chain_entity, entity_kinds, residue_chain, residue_names)
    elements = columns.get("type_symbol") or [name[:1] for name in names]
    return Topology(
        chain_ids=tuple(chain_index),
        chain_kinds=kinds,
        residue_chain=np.array(residue_chain, np.int32),
        residue_number=np.array(residue_number, np.int32),
        residue_names=tuple(residue_names),
        atom_residue=atom_residue,
        atom_names=tuple(names),
        elements=tuple(elements),
    )


def _residue_number(text: str) -> int:
    """Residue number, or 0 for one that is not an integer of sane size."""
    try:
        number = int(text)
    except ValueError:
        return 0
    return number if abs(number) < 2**31 else 0


def _chain_kinds(
    chain_entity: list[str],
    entity_kinds: dict[str, str],
    residue_chain: list[int],
    residue_names: list[str],
) -> tuple[str, ...]:
    """Names each chain's kind from its entity, else from its residues."""
    kinds = []
    for index, entity in enumerate(chain_entity):
        kind = entity_kinds.get(entity)
        if kind is None:
            names = [n for c, n in zip(residue_chain, residue_names, strict=True) if c == index]
            kind = _kind_of_residues(names)
        kinds.append(kind)
    return tuple(kinds)


def _kind_of_residues(names: list[str]) -> str:
    """Guesses a chain's kind by what most of its residues are."""
    for kind, members in (("protein", _AMINO_ACIDS), ("RNA", _RNA), ("DNA", _DNA)):
        if 2 * sum(name in members for name in names) > len(names):
            return kind
    return "ligand"
