"""Faster equivalents of the engine's per-character and per-atom Python loops.

They hold only inside `fast_loops`, and only in place of functions recognised by
their digest; each gives the same arrays, bit for bit.
"""

import threading
from collections.abc import Iterator, Sequence

import numpy as np

from af3opt.engine.known_functions import known
from af3opt.engine.modules import engine_module
from af3opt.engine.patching import Make, Patch, PatchSet
from af3opt.engine.protocols import AtomLayout, EngineFunction, GatherInfo


def _msa_features(original: EngineFunction, _: None) -> EngineFunction:
    """Parses all rows of an alignment at once; leaves what is irregular to the original."""
    module = engine_module("data.msa_features")
    names = engine_module("constants.mmcif_names")
    identifiers = {
        names.PROTEIN_CHAIN: module._PROTEIN_TO_ID,
        names.RNA_CHAIN: module._RNA_TO_ID,
        names.DNA_CHAIN: module._DNA_TO_ID,
    }

    def extract_msa_features(
        msa_sequences: Sequence[str], chain_poly_type: str
    ) -> tuple[np.ndarray, np.ndarray]:
        parsed = None
        if chain_poly_type in identifiers and msa_sequences:
            parsed = parse_alignment(msa_sequences, identifiers[chain_poly_type])
        return parsed or original(msa_sequences, chain_poly_type)

    return extract_msa_features


def parse_alignment(
    rows: Sequence[str], identifiers: dict[str, int]
) -> tuple[np.ndarray, np.ndarray] | None:
    """Turns A3M rows into residue identifiers and numbers of deletions.

    Args:
        rows: Aligned sequences, lower case for insertions.
        identifiers: Letter -> identifier; other characters count as deletions.

    Returns:
        Two int32 arrays (rows, columns): identifiers, and the number of insertions
        left of each residue; or None for rows that are not ASCII, of different
        length, or with characters that are neither known nor lower case.
    """
    try:
        text = "".join(rows).encode("ascii")
    except UnicodeEncodeError:
        return None
    table = np.full(256, -1, np.int8)
    for letter, identifier in identifiers.items():
        table[ord(letter)] = identifier
    letters = np.frombuffer(text, np.uint8)
    columns = table[letters]
    places = np.flatnonzero(columns >= 0)
    unknown = len(letters) - len(places)
    if unknown and np.count_nonzero((letters >= ord("a")) & (letters <= ord("z"))) != unknown:
        return None
    ends = np.cumsum(np.fromiter(map(len, rows), np.int64, count=len(rows)))
    ranks = np.searchsorted(places, ends)
    width, remainder = divmod(len(places), len(rows))
    if remainder or not np.array_equal(ranks, np.arange(1, len(rows) + 1) * width):
        return None
    shape = (len(rows), width)
    if not unknown:
        return columns.astype(np.int32).reshape(shape), np.zeros(shape, np.int32)
    # A residue's deletions are the characters since the residue before it in its row.
    deletions = np.diff(places, prepend=-1) - 1
    if width:
        starts = np.concatenate(([0], ends[:-1]))
        deletions[::width] = places[::width] - starts
    return (
        columns[places].astype(np.int32).reshape(shape),
        deletions.astype(np.int32).reshape(shape),
    )


def _gather_indices(_original: EngineFunction, _: None) -> EngineFunction:
    """Looks atoms up in one dictionary of plain Python values instead of numpy scalars."""
    gather_info = engine_module("model.atom_layout.atom_layout").GatherInfo

    def compute_gather_idxs(
        *, source_layout: AtomLayout, target_layout: AtomLayout, fill_value: int = 0
    ) -> GatherInfo:
        position_of = dict(zip(_atoms(source_layout), range(source_layout.atom_name.size)))  # noqa: B905
        shape = target_layout.atom_name.shape
        found = np.fromiter(
            (position_of.get(atom, -1) for atom in _atoms(target_layout)),
            dtype=int,
            count=target_layout.atom_name.size,
        ).reshape(shape)
        mask = found >= 0
        gathered: GatherInfo = gather_info(
            gather_idxs=np.where(mask, found, fill_value),
            gather_mask=mask,
            input_shape=np.array(source_layout.atom_name.shape),
        )
        return gathered

    return compute_gather_idxs


def _atoms(layout: AtomLayout) -> Iterator[tuple[str, int, str]]:
    return zip(
        layout.chain_id.ravel().tolist(),
        layout.res_id.ravel().tolist(),
        layout.atom_name.ravel().tolist(),
        strict=True,
    )


def _layout_array(_original: EngineFunction, _: None) -> EngineFunction:
    """Stacks a layout's columns without first copying every string in them."""

    def to_array(self: AtomLayout) -> np.ndarray:
        columns = (
            self.atom_name, self.res_id, self.chain_id,
            self.atom_element, self.res_name, self.chain_type,
        )  # fmt: skip
        present = [column for column in columns if column is not None]
        if len(present) < len(columns):
            raise ValueError("All optional fields need to be present.")
        return np.stack(present, axis=0)

    return to_array


def _loop(module: str, qualname: str, make: Make[None]) -> Patch[None]:
    name = qualname.rpartition(".")[2]
    return Patch(name=name, replacements=((known(module, qualname), make),))


LOOPS = (
    _loop("data.msa_features", "extract_msa_features", _msa_features),
    _loop("model.atom_layout.atom_layout", "compute_gather_idxs", _gather_indices),
    _loop("model.atom_layout.atom_layout", "AtomLayout.to_array", _layout_array),
)

_replacing = threading.RLock()


def fast_loop_names() -> list[str]:
    """Names the loops that the installed engine has in a version known here."""
    return [loop.name for loop in LOOPS if loop.obstacle() is None]


def fast_loops() -> PatchSet[None]:
    """Puts the equivalents in place inside a block; one block at a time in a process."""
    return PatchSet(LOOPS, None, lock=_replacing)
