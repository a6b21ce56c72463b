"""Reference conformers of all residues, for many seeds.

A seed's conformers come from one random stream: for each residue, in the order of
its first atom, a conformer seed (if RDKit has a molecule), then a rotation and a
translation. What is drawn never depends on what RDKit makes of it. So the stream
is replayed first, the conformers are then embedded by several threads (RDKit
releases the interpreter lock), and only positions are filled in for each seed.

The engine's own functions do all chemistry and arithmetic that decides bits:
parsing components, embedding, augmentation. Here is only what they are applied to.
"""

import dataclasses
import datetime
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from af3opt.engine.protocols import AtomLayout, EngineFunction
from af3opt.features.components import AtomTable, Component
from af3opt.features.conformer_store import Conformers


@dataclasses.dataclass(frozen=True, slots=True)
class Draws:
    """What one residue takes from a seed's random stream.

    Attributes:
        conformer_seed: Seed for RDKit, or None when there is no molecule.
        rotation: (2, 3) normal variates.
        translation: (3,) normal variates.
    """

    conformer_seed: int | None
    rotation: np.ndarray
    translation: np.ndarray

    def normal(self, size: tuple[int, ...]) -> np.ndarray:
        """Answers the engine's augmentation in place of a random state."""
        return self.rotation if size == (2, 3) else self.translation


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ReferencePlan:
    """Everything about the reference structure that no seed changes.

    Attributes:
        components: The different components.
        residues: (residues,) index into `components`, in the order of the stream.
        wanted: (residues,) whether the residue's atoms are filled in.
        slots: (atoms,) flat position in the padded token-atoms layout.
        slot_residues: (atoms,) index into `residues`.
        slot_names: Atom name of each slot.
        space_uids: int32 (tokens, width) `ref_space_uid` of the engine.
        bonds: Atom layout of the bonds inside non-standard residues, appended to
            the ligand-ligand bonds; or what was given when there are none.
        ref_max_modified_date: Passed to the engine's fallback positions.
    """

    components: Sequence[Component]
    residues: np.ndarray
    wanted: np.ndarray
    slots: np.ndarray
    slot_residues: np.ndarray
    slot_names: Sequence[str]
    space_uids: np.ndarray
    bonds: AtomLayout | None
    ref_max_modified_date: datetime.date

    def molecules(self) -> list[bool]:
        """Tells for each residue whether RDKit has a molecule of it."""
        return [self.components[number].molecule is not None for number in self.residues]


def draw_stream(molecules: Iterable[bool], random_state: np.random.RandomState) -> list[Draws]:
    """Takes from a fresh random state what the engine would take, in its order.

    Args:
        molecules: For each residue, whether RDKit has a molecule of it.
        random_state: State with the model seed, nothing drawn yet.
    """
    draws = []
    for molecule in molecules:
        seed = int(random_state.randint(1, 1 << 31)) if molecule else None
        rotation = random_state.normal(size=(2, 3))
        draws.append(Draws(seed, rotation, random_state.normal(size=(3,))))
    return draws


def wanted_conformers(
    plan: ReferencePlan, draws: Sequence[Draws]
) -> dict[tuple[str, int], Component]:
    """Returns what has to be embedded: (component digest, conformer seed) -> component."""
    wanted: dict[tuple[str, int], Component] = {}
    for residue in np.flatnonzero(plan.wanted).tolist():
        component, seed = plan.components[plan.residues[residue]], draws[residue].conformer_seed
        if seed is not None:
            wanted[component.digest, seed] = component
    return wanted


def reference_features(
    plan: ReferencePlan,
    draws: Sequence[Draws],
    conformers: Conformers,
    augment: EngineFunction,
) -> dict[str, np.ndarray]:
    """Fills in the reference structure of one seed, after its conformers were embedded.

    Args:
        plan: From `features.layout_plan.make_plan`.
        draws: From `draw_stream`.
        conformers: What embedding `wanted_conformers` gave.
        augment: The engine's `random_augmentation`.

    Returns:
        The engine's arrays by their names in its `RefStructure`: positions float32
        (tokens, width, 3), mask bool, element int32, charge float32, each (tokens,
        width), atom_name_chars int32 (tokens, width, 4), ref_space_uid int32.
    """
    positions: list[np.ndarray] = []
    tables: list[AtomTable] = []
    for residue, draw in enumerate(draws):
        component = plan.components[plan.residues[residue]]
        if not plan.wanted[residue]:
            tables.append(AtomTable.EMPTY)
            continue
        conformer = None
        if draw.conformer_seed is not None:
            conformer = conformers[component.digest, draw.conformer_seed]
        if conformer is None:
            tables.append(component.dictionary_atoms)
            conformer = component.dictionary_positions(plan.ref_max_modified_date)
        else:
            tables.append(component.molecule_atoms)
        positions.append(augment(conformer, draw))
    return _fill(plan, tables, positions)


def blank_features(plan: ReferencePlan) -> dict[str, np.ndarray]:
    """Returns the arrays of `reference_features` with no atom filled in."""
    shape = plan.space_uids.shape
    return {
        "positions": np.zeros((*shape, 3), np.float32),
        "mask": np.zeros(shape, bool),
        "element": np.zeros(shape, np.int32),
        "charge": np.zeros(shape, np.float32),
        "atom_name_chars": np.zeros((*shape, 4), np.int32),
        "ref_space_uid": plan.space_uids.copy(),
    }


def _fill(
    plan: ReferencePlan, tables: Sequence[AtomTable], positions: Sequence[np.ndarray]
) -> dict[str, np.ndarray]:
    starts = np.cumsum([0, *(len(table.elements) for table in tables)])
    rows = np.fromiter(
        (
            tables[residue].rows.get(name, -1)
            for residue, name in zip(plan.slot_residues.tolist(), plan.slot_names, strict=True)
        ),
        dtype=np.int64,
        count=len(plan.slot_names),
    )
    known = rows >= 0
    atoms = (starts[plan.slot_residues] + rows)[known]
    slots = plan.slots[known]
    filled = blank_features(plan)
    if slots.size:
        filled["positions"].reshape(-1, 3)[slots] = np.concatenate(positions)[atoms]
        filled["mask"].reshape(-1)[slots] = True
        columns: Mapping[str, list[np.ndarray]] = {
            "element": [table.elements for table in tables],
            "charge": [table.charges for table in tables],
            "atom_name_chars": [table.name_chars for table in tables],
        }
        for name, column in columns.items():
            target = filled[name]
            target.reshape(-1, *target.shape[2:])[slots] = np.concatenate(column)[atoms]
    return filled
