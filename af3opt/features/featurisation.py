"""The engine's featurisation pipeline with its seed-dependent part taken out.

The pipeline makes one batch a seed and repeats everything for each. Only the
reference structure depends on the seed. The pipeline is run once, unchanged; when
it asks for the reference structure, the arguments are kept and the answer is the
fast, bit-identical one. Further seeds then need a new answer and nothing else.

All of this relies on what a few engine functions do, so each is recognised by its
digest, and the pipeline by where its seed goes; an engine with others is left to
featurise by itself.
"""

import dataclasses
import functools
import logging
import threading

import numpy as np

from af3opt.engine.known_functions import known
from af3opt.engine.modules import engine_module
from af3opt.engine.patching import Patch, PatchSet, Target, first_unknown
from af3opt.engine.protocols import (
    Argument,
    AtomLayout,
    ComponentDictionary,
    Descriptor,
    EngineFunction,
    FoldInput,
)
from af3opt.engine.seed_flow import seed_reaches_only_conformers
from af3opt.features.conformer_store import ConformerStore
from af3opt.features.conformers import ConformerPool, PendingConformers
from af3opt.features.engine_features import Batch, featurise_with_engine
from af3opt.features.feature_patches import fast_loops
from af3opt.features.layout_plan import make_plan
from af3opt.features.options import FeatureOptions
from af3opt.features.reference import (
    Draws,
    ReferencePlan,
    blank_features,
    draw_stream,
    reference_features,
    wanted_conformers,
)

_log = logging.getLogger(__name__)

# What this module stands in for, and what it relies on.
_REFERENCE = known("model.features", "RefStructure.compute_features")
RELIES_ON = (
    known("model.features", "get_reference"),
    _REFERENCE,
    known("model.features", "random_augmentation"),
    known("model.features", "random_rotation"),
    known("model.features", "_get_reference_positions_from_ccd_cif"),
    known("data.tools.rdkit_utils", "get_random_conformer"),
    known("data.tools.rdkit_utils", "mol_from_ccd_cif"),
    known("data.tools.rdkit_utils", "mol_to_ccd_cif"),
    known("data.tools.rdkit_utils", "assign_atom_names_from_graph"),
    known("model.features", "Frames.compute_features"),
)
# Methods of the pipeline through which the seed passes, told by where it goes; DeepMind's
# v3.0.1 does all in the first and has no second.
_PROCESS_ITEM = Target("model.pipeline.pipeline", "WholePdbPipeline.process_item", None)
_PROCESS_STRUCTURE = Target("model.pipeline.pipeline", "WholePdbPipeline.process_structure", None)

# The engine's arrays that a seed can change: the conformers, and, where embedding
# fails for one seed and the dictionary's coordinates stand in, what describes them.
SEED_FEATURES = ("ref_pos", "ref_mask", "ref_element", "ref_charge", "ref_atom_name_chars")
_FIELD_OF = {
    "ref_pos": "positions",
    "ref_mask": "mask",
    "ref_element": "element",
    "ref_charge": "charge",
    "ref_atom_name_chars": "atom_name_chars",
}

# The pipeline is a module-wide object; one interception at a time.
_interception = threading.Lock()


def unknown_function() -> str | None:
    """Names the first function of the engine that is not one known here, or None."""
    return _unknown_function()


@functools.cache
def _unknown_function() -> str | None:
    unknown = first_unknown(RELIES_ON)
    if unknown is not None:
        return unknown.label
    in_two = _PROCESS_STRUCTURE.obstacle() is None
    for method in (_PROCESS_ITEM, _PROCESS_STRUCTURE) if in_two else (_PROCESS_ITEM,):
        if method.obstacle() or not seed_reaches_only_conformers(method.original()):
            return method.label
    return None


@dataclasses.dataclass(frozen=True, slots=True)
class PendingReference:
    """The reference structure of one seed while its conformers are being embedded."""

    draws: list[Draws]
    conformers: PendingConformers


class SharedFeatures:
    """Features of one input for all its seeds, from one run of the engine's pipeline."""

    def __init__(
        self,
        fold_input: FoldInput,
        seed: int,
        ccd: ComponentDictionary,
        options: FeatureOptions,
        threads: int,
        store: ConformerStore | None = None,
    ) -> None:
        """Runs the pipeline for one seed.

        Args:
            fold_input: The engine's input with MSAs and templates.
            seed: First seed.
            ccd: The job's chemical component dictionary.
            options: Featurisation options.
            threads: Threads for conformers.
            store: Where conformers are kept on disk; None for nowhere.

        Raises:
            ValueError: the engine refuses the input.
        """
        self._options = options
        self._pool = ConformerPool(threads, store)
        self._plan: ReferencePlan | None = None
        self._first: PendingReference | None = None
        self._batch = self._run(fold_input, seed, ccd)

    def begin(self, seed: int) -> PendingReference:
        """Begins to embed the conformers of a seed."""
        assert self._plan is not None
        return self._embed(self._plan, seed, self._options.conformer_max_iterations)

    def finish(self, pending: PendingReference) -> Batch:
        """Waits for a seed's conformers and returns its batch.

        The arrays that no seed changes are shared by all batches of the input.
        """
        assert self._plan is not None
        arrays = self._reference(self._plan, pending)
        seed_arrays = {name: arrays[_FIELD_OF[name]] for name in SEED_FEATURES}
        for name, array in seed_arrays.items():
            if np.isnan(np.sum(array)):
                raise engine_module("model.pipeline.pipeline").NanDataError(
                    f"Data pipeline output contains NaNs. NaN feature: {name}"
                )
        return {**self._batch, **seed_arrays}

    def take_first(self) -> PendingReference:
        """Returns the first seed's conformers, begun while the pipeline ran."""
        assert self._first is not None
        return self._first

    def _embed(
        self, plan: ReferencePlan, seed: int, max_iterations: int | None
    ) -> PendingReference:
        draws = draw_stream(plan.molecules(), np.random.RandomState(seed))
        wanted = wanted_conformers(plan, draws)
        return PendingReference(draws, self._pool.submit(wanted, seed, max_iterations))

    def _reference(self, plan: ReferencePlan, pending: PendingReference) -> Batch:
        augment = engine_module("model.features").random_augmentation
        return reference_features(plan, pending.draws, pending.conformers.result(), augment)

    def _run(self, fold_input: FoldInput, seed: int, ccd: ComponentDictionary) -> Batch:
        with self._answering(seed), fast_loops():
            batch = featurise_with_engine(fold_input, seed, ccd, self._options)
        for array in batch.values():
            # Shared between seeds from here on: writing into one must fail, not spread.
            array.flags.writeable = False
        return batch

    def _answering(self, seed: int) -> PatchSet[None]:
        """Answers the pipeline's questions for reference structures inside a block."""
        thread = threading.get_ident()

        def make(original: Descriptor, _: None) -> Descriptor:
            def compute_features(
                cls: EngineFunction, /, **arguments: Argument
            ) -> tuple[Argument, AtomLayout | None]:
                if threading.get_ident() != thread:
                    return original.__get__(None, cls)(**arguments)  # type: ignore[no-any-return]
                return self._answer(cls, seed, arguments)

            return classmethod(compute_features)

        patch = Patch(name="reference_structure", replacements=((_REFERENCE, make),))
        return PatchSet([patch], None, required=True, lock=_interception)

    def _answer(
        self, cls: EngineFunction, seed: int, arguments: dict[str, Argument]
    ) -> tuple[Argument, AtomLayout | None]:
        state = arguments.pop("random_state")
        max_iterations = arguments.pop("conformer_max_iterations")
        # The pipeline asks twice: for the seed, and with a fixed seed of its own for
        # the frames of ligand atoms, which read no other residue.
        for_frames = not _is_fresh(state, seed)
        if for_frames:
            seed = engine_module("model.pipeline.pipeline")._DETERMINISTIC_FRAMES_RANDOM_SEED
            assert _is_fresh(state, seed)
        plan = make_plan(**arguments, wanted=_frames_read if for_frames else None)
        if not for_frames:
            self._plan = plan
        pending = self._embed(plan, seed, max_iterations)
        if for_frames:
            return cls(**self._reference(plan, pending)), plan.bonds
        # Nothing else in the pipeline reads the seed's own conformers, so it goes on
        # without them while they are embedded; `finish` puts them into the batch.
        self._first = pending
        return cls(**blank_features(plan)), plan.bonds


def _is_fresh(state: np.random.RandomState, seed: int) -> bool:
    """Tells whether nothing has been drawn yet from a state with this seed."""
    _, keys, position, *_ = state.get_state(legacy=True)
    _, fresh_keys, fresh_position, *_ = np.random.RandomState(seed).get_state(legacy=True)
    return position == fresh_position and bool(np.array_equal(keys, fresh_keys))


def _frames_read(chain_type: str) -> bool:
    return chain_type in engine_module("constants.mmcif_names").NON_POLYMER_CHAIN_TYPES
