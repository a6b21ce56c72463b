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


def make_plan(
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
    standard = engine_module("model.features")._STANDARD_RESIDUES
    space_of: dict[tuple[str, int], int] = {}
    residue_of: dict[tuple[str, int], int] = {}
    component_of: dict[str, int] = {}
    components: list[Component] = []
    residues: list[int] = []
    needed: list[bool] = []
    slots: list[int] = []
    slot_residues: list[int] = []
    slot_names: list[str] = []
    bonds = _Bonds()
    space_uids = np.zeros((padding_shapes.num_tokens, width), np.int32)
    rows = zip(
        layout.chain_id.tolist(),
        layout.res_id.tolist(),
        layout.res_name.tolist(),
        layout.atom_name.tolist(),
        layout.chain_type.tolist(),
        strict=True,
    )
    for token, (chain_ids, res_ids, res_names, atom_names, chain_types) in enumerate(rows):
        for slot in range(width):
            key = (chain_ids[slot], res_ids[slot])
            space_uids[token, slot] = space_of.setdefault(key, len(space_of))
            if not atom_names[slot]:
                continue
            if key not in residue_of:
                name = res_names[slot]
                if name not in component_of:
                    component_of[name] = len(components)
                    components.append(make_component(name, ccd, chemical_components_data))
                residue_of[key] = len(residues)
                residues.append(component_of[name])
                needed.append(wanted is None or wanted(chain_types[slot]))
                if name not in standard:
                    bonds.add(components[component_of[name]], *key)
            if needed[residue_of[key]]:
                slots.append(token * width + slot)
                slot_residues.append(residue_of[key])
                slot_names.append(atom_names[slot])
    return ReferencePlan(
        components=components,
        residues=np.array(residues, np.int64),
        wanted=np.array(needed, bool),
        slots=np.array(slots, np.int64),
        slot_residues=np.array(slot_residues, np.int64),
        slot_names=slot_names,
        space_uids=space_uids,
        bonds=bonds.layout(ligand_ligand_bonds),
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
