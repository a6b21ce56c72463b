"""Reads off a token-atoms layout which conformer every atom slot is filled from."""

import datetime
from collections.abc import Callable, Sequence

import numpy as np

from af3opt.engine.modules import engine_module
from af3opt.engine.protocols import (
    AtomLayout,
    ChemicalComponents,
    ComponentDictionary,
    PaddingShapes,
)
from af3opt.features.components import Component, make_component
from af3opt.features.reference import ReferencePlan


def make_plan(  # noqa: PLR0913 - the engine's signature, and what is wanted
    *,
    all_token_atoms_layout: AtomLayout,
    ccd: ComponentDictionary,
    padding_shapes: PaddingShapes,
    chemical_components_data: ChemicalComponents,
    ref_max_modified_date: datetime.date,
    ligand_ligand_bonds: AtomLayout | None,
    wanted: Callable[[str], bool] | None = None,
) -> ReferencePlan:
    """Works out the order of the random stream and where each atom goes.

    Args:
        all_token_atoms_layout: The engine's layout (tokens, width) of all atoms.
        ccd: Chemical component dictionary of the job.
        padding_shapes: The engine's padding shapes.
        chemical_components_data: Components of the structure, for SMILES ligands.
        ref_max_modified_date: Date for fallback coordinates.
        ligand_ligand_bonds: Atom layout of bonds (bonds, 2), or None.
        wanted: Tells by chain type which residues are needed; None means all.

    Raises:
        ValueError: a component is unknown, or an atom name is too long.
    """
    layout = all_token_atoms_layout
    assert layout.res_name is not None
    assert layout.chain_type is not None
    width = layout.shape[1]
    residues = _Residues(ccd, chemical_components_data, wanted)
    space_of: dict[tuple[str, int], int] = {}
    slots: list[int] = []
    slot_residues: list[int] = []
    slot_names: list[str] = []
    space_uids = np.zeros((padding_shapes.num_tokens, width), np.int32)
    columns = (layout.chain_id, layout.res_id, layout.res_name, layout.atom_name, layout.chain_type)
    for token, row in enumerate(zip(*(column.tolist() for column in columns), strict=True)):
        for slot, (chain_id, res_id, name, atom, chain_type) in enumerate(zip(*row, strict=True)):
            key = (chain_id, res_id)
            space_uids[token, slot] = space_of.setdefault(key, len(space_of))
            if not atom:
                continue
            residue = residues.number(key, name, chain_type)
            if residues.wanted[residue]:
                slots.append(token * width + slot)
                slot_residues.append(residue)
                slot_names.append(atom)
    return ReferencePlan(
        components=residues.components,
        residues=np.array(residues.component_of, np.int64),
        wanted=np.array(residues.wanted, bool),
        slots=np.array(slots, np.int64),
        slot_residues=np.array(slot_residues, np.int64),
        slot_names=slot_names,
        space_uids=space_uids,
        bonds=residues.bonds.layout(ligand_ligand_bonds),
        ref_max_modified_date=ref_max_modified_date,
    )


class _Bonds:
    """Collects the bonds inside non-standard residues, in the order of the stream."""

    def __init__(self) -> None:
        self._names: list[np.ndarray] = []
        self._chains: list[np.ndarray] = []
        self._residues: list[np.ndarray] = []

    def add(self, component: Component, chain_id: str, res_id: int) -> None:
        if component.bonds is None:
            return
        names = np.stack(component.bonds, axis=1, dtype=object)
        self._names.append(names)
        self._chains.append(np.full_like(names, chain_id, dtype=object))
        self._residues.append(np.full_like(names, res_id, dtype=int))

    def layout(self, given: AtomLayout | None) -> AtomLayout | None:
        """Returns the engine's layout of the given bonds followed by these."""
        if not self._names:
            return given
        columns: dict[str, Sequence[np.ndarray]] = {
            "atom_name": self._names,
            "chain_id": self._chains,
            "res_id": self._residues,
        }
        head = [] if given is None else [given]
        together: AtomLayout = engine_module("model.atom_layout.atom_layout").AtomLayout(
            **{
                name: np.concatenate([*(getattr(layout, name) for layout in head), *parts])
                for name, parts in columns.items()
            }
        )
        return together


class _Residues:
    """Numbers residues and their components in the order of the stream.

    Attributes:
        components: Each component once.
        component_of: Residue -> its place in `components`.
        wanted: Residue -> whether it is needed.
        bonds: The bonds inside those that are not standard.
    """

    def __init__(
        self,
        ccd: ComponentDictionary,
        chemical_components_data: ChemicalComponents,
        wanted: Callable[[str], bool] | None,
    ) -> None:
        self.components: list[Component] = []
        self.component_of: list[int] = []
        self.wanted: list[bool] = []
        self.bonds = _Bonds()
        self._ccd = ccd
        self._of_structure = chemical_components_data
        self._is_wanted = wanted
        self._standard = engine_module("model.features")._STANDARD_RESIDUES
        self._places: dict[str, int] = {}
        self._numbers: dict[tuple[str, int], int] = {}

    def number(self, key: tuple[str, int], name: str, chain_type: str) -> int:
        """Returns the number of a residue, which it gets when it is first asked for.

        Args:
            key: Chain and residue number.
            name: Its component's code.
            chain_type: The engine's type of its chain.
        """
        if key not in self._numbers:
            if name not in self._places:
                self._places[name] = len(self.components)
                self.components.append(make_component(name, self._ccd, self._of_structure))
            self._numbers[key] = len(self.component_of)
            self.component_of.append(self._places[name])
            self.wanted.append(self._is_wanted is None or self._is_wanted(chain_type))
            if name not in self._standard:
                self.bonds.add(self.components[self._places[name]], *key)
        return self._numbers[key]
