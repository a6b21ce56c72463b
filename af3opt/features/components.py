"""Chemical components as the reference structure needs them, built once each."""

import datetime
import functools
import logging
from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np

from af3opt.base.key import json_digest
from af3opt.engine.modules import engine_module
from af3opt.engine.protocols import ChemicalComponents, ComponentDictionary, Molecule
from af3opt.engine.refusals import EngineRefusalError
from af3opt.features.embedding import embed, needs_macrocycles

_log = logging.getLogger(__name__)

_NAME_CHARS = 4
# Components seen in a process; a molecule takes some 10 kB.
_COMPONENTS_KEPT = 512


class AtomTable:
    """The atoms of a component in one order.

    Attributes:
        rows: Atom name -> row of its first occurrence.
        elements: int32 (atoms,) atomic numbers.
        charges: float32 (atoms,) formal charges.
        name_chars: int32 (atoms, 4) characters of the names, less 32, zero-padded.
    """

    EMPTY: ClassVar["AtomTable"]

    def __init__(
        self, names: Sequence[str], elements: Sequence[int], charges: Sequence[int | str]
    ) -> None:
        """Builds the columns.

        Raises:
            ValueError: a name has more than four characters.
        """
        self.rows = {name: row for row, name in reversed(list(enumerate(names)))}
        self.elements = np.array(elements, np.int32)
        self.charges = np.array(
            [0 if charge == "?" else int(charge) for charge in charges], np.float32
        )
        self.name_chars = np.zeros((len(names), _NAME_CHARS), np.int32)
        for row, name in enumerate(names):
            self.name_chars[row, : len(name)] = [ord(character) - 32 for character in name]


AtomTable.EMPTY = AtomTable((), (), ())


class Component:
    """One component with its molecule and its two possible atom tables.

    Attributes:
        name: Its code.
        digest: Digest of everything it was made from.
        molecule: RDKit molecule, or None where RDKit cannot make one.
        bonds: Names of the bonded atoms as two sequences, or None.
    """

    def __init__(
        self, name: str, digest: str, molecule: Molecule, cif: Mapping[str, Sequence[str]]
    ) -> None:
        self.name = name
        self.digest = digest
        self.molecule = molecule
        self._cif = cif
        begins = cif.get("_chem_comp_bond.atom_id_1")
        ends = cif.get("_chem_comp_bond.atom_id_2")
        self.bonds = (begins, ends) if begins is not None and ends is not None else None

    def embed(self, seed: int, max_iterations: int | None) -> np.ndarray | None:
        """Returns RDKit's conformer as float32 (atoms, 3) in Angstrom, or None if there is none."""
        return embed(self.molecule, seed, max_iterations, self.name, macrocycles=self._macrocycles)

    @functools.cached_property
    def _macrocycles(self) -> bool:
        return needs_macrocycles(self.molecule)

    @functools.cached_property
    def molecule_atoms(self) -> AtomTable:
        """Atoms in the molecule's order, that of embedded conformers."""
        atoms = list(self.molecule.GetAtoms())
        return AtomTable(
            [atom.GetProp("atom_name") for atom in atoms],
            [atom.GetAtomicNum() for atom in atoms],
            [atom.GetFormalCharge() for atom in atoms],
        )

    @functools.cached_property
    def dictionary_atoms(self) -> AtomTable:
        """Atoms in the dictionary's order, that of its own coordinates."""
        numbers = engine_module("constants.periodic_table").ATOMIC_NUMBER
        return AtomTable(
            self._cif["_chem_comp_atom.atom_id"],
            [
                numbers.get(symbol.capitalize(), 0)
                for symbol in self._cif["_chem_comp_atom.type_symbol"]
            ],
            self._cif["_chem_comp_atom.charge"],
        )

    def dictionary_positions(self, ref_max_modified_date: datetime.date) -> np.ndarray:
        """Returns the engine's fallback coordinates, float32 (atoms, 3)."""
        positions: np.ndarray = engine_module(
            "model.features"
        )._get_reference_positions_from_ccd_cif(
            ccd_cif=self._cif,
            ref_max_modified_date=ref_max_modified_date,
            logging_name=self.name,
        )
        return positions


class _ComponentCache:
    """Components by digest, so that a batch of jobs builds each molecule once."""

    def __init__(self) -> None:
        self._known: dict[str, Component] = {}

    def get(self, digest: str) -> Component | None:
        return self._known.get(digest)

    def add(self, component: Component) -> Component:
        if len(self._known) >= _COMPONENTS_KEPT:
            self._known.clear()
        return self._known.setdefault(component.digest, component)


_cache = _ComponentCache()


def make_component(
    name: str, ccd: ComponentDictionary, chemical_components_data: ChemicalComponents | None
) -> Component:
    """Makes the component that the engine uses for a residue name.

    Args:
        name: Residue name.
        ccd: The job's chemical component dictionary.
        chemical_components_data: The structure's own components, with the SMILES
            of ligands that are not in the dictionary.

    Raises:
        EngineRefusalError: there is neither a dictionary entry nor a usable SMILES.
    """
    cif = ccd.get(name)
    if cif:
        return _from_dictionary(name, cif)
    own = chemical_components_data.chem_comp if chemical_components_data else None
    entry = (own or {}).get(name)
    if entry is None or not entry.pdbx_smiles:
        raise EngineRefusalError(f"No CCD entry or SMILES for {name}.")
    return _from_smiles(name, entry.pdbx_smiles)


def _from_dictionary(name: str, cif: Mapping[str, Sequence[str]]) -> Component:
    digest = json_digest([name, {key: list(values) for key, values in cif.items()}])
    known = _cache.get(digest)
    if known is not None:
        return known
    rdkit_utils = engine_module("data.tools.rdkit_utils")
    try:
        molecule = rdkit_utils.mol_from_ccd_cif(cif, remove_hydrogens=False)
    except rdkit_utils.MolFromMmcifError:
        _log.info("RDKit cannot make a molecule of %s; its own coordinates are used", name)
        molecule = None
    return _cache.add(Component(name, digest, molecule, cif))


def _from_smiles(name: str, smiles: str) -> Component:
    digest = json_digest([name, smiles])
    known = _cache.get(digest)
    if known is not None:
        return known
    rdkit_utils = engine_module("data.tools.rdkit_utils")
    chemistry = rdkit_utils.rd_chem
    molecule = chemistry.MolFromSmiles(smiles)
    if molecule is None:
        raise EngineRefusalError(
            f"Failed to construct RDKit Mol for {name} from SMILES string: {smiles}"
        )
    # Atoms have no names in SMILES; the engine numbers them by element.
    molecule = rdkit_utils.assign_atom_names_from_graph(chemistry.AddHs(molecule))
    cif = rdkit_utils.mol_to_ccd_cif(molecule, component_id="fake_cif")
    return _cache.add(Component(name, digest, molecule, cif))
