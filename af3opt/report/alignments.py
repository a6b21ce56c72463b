"""The alignments of a job as small pictures: which positions are covered, and how alike."""

import dataclasses
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from af3opt.base.a3m import NO_INSERTIONS, read_a3m
from af3opt.base.json_types import Json, JsonObject
from af3opt.report.inputs import MSA_FIELDS, chain_bodies, chain_identifiers
from af3opt.report.packing import pack

# Cells of all pictures of a page together, about 0.5 MB of page once compressed.
_MAX_CELLS = 1_500_000
_MAX_COLUMNS = 1024
_MAX_BINS = 256
_MIN_BINS = 16
# Steps of a cell's share: finer ones cannot be seen and compress badly.
STEPS = 15
_GAP = ord("-")
# Rows looked at together, so that a deep alignment needs no second copy of itself.
_BLOCK = 4096


@dataclasses.dataclass(frozen=True, slots=True)
class Coverage:
    """One alignment, its rows sorted by identity to the query and put into bins.

    Attributes:
        chain_ids: Chains that it belongs to.
        residues: Length of the query.
        rows: Different rows, the query among them.
        unfit: Rows left out because they have another number of columns.
        identity: Mean identity of each bin's rows in percent, highest first, uint8 [bins].
            Gaps count as different.
        covered: Share of a bin's rows with a residue, in units of 1 / `STEPS`,
            uint8 [bins, columns].
        column_width: Positions that a column of `covered` stands for; the last may have fewer.
        depth: Rows with a residue at each position, int32 [residues].
    """

    chain_ids: tuple[str, ...]
    residues: int
    rows: int
    unfit: int
    identity: NDArray[np.uint8]
    covered: NDArray[np.uint8]
    column_width: int
    depth: NDArray[np.int32]


def alignment_coverages(data: JsonObject) -> list[Coverage]:
    """Returns the coverage of each different chain that has an alignment in an input.

    Alignments that the input only names by path are not opened.

    Args:
        data: The processed input.
    """
    chains: dict[tuple[str, ...], list[str]] = {}
    for _, body in chain_bodies(data):
        texts = (_text(body.get(field)) for field in ("sequence", *MSA_FIELDS))
        sequence, *alignments = texts
        if sequence and any(alignments):
            chains.setdefault((sequence, *alignments), []).extend(chain_identifiers(body))
    share = _MAX_CELLS // max(len(chains), 1)
    return [
        coverage(tuple(identifiers), sequence, alignments, share)
        for (sequence, *alignments), identifiers in chains.items()
    ]


def coverage(
    chain_ids: tuple[str, ...], sequence: str, alignments: list[str], max_cells: int = _MAX_CELLS
) -> Coverage:
    """Makes the picture of a chain's alignments, which count as one.

    Args:
        chain_ids: Chains with this sequence.
        sequence: The query, not empty.
        alignments: A3M texts.
        max_cells: Most cells of `Coverage.covered`; a few more where that would be no picture.
    """
    rows, unfit = _rows(sequence, alignments)
    residues = len(sequence)
    letters = np.frombuffer("".join(rows).encode("ascii", "replace"), np.uint8)
    matrix = letters.reshape(len(rows), residues)
    identity = _identities(matrix)
    order = np.argsort(-identity, kind="stable")
    columns = max(1, min(residues, _MAX_COLUMNS, max_cells // _MIN_BINS))
    width = -(-residues // columns)
    bins = min(len(rows), _MAX_BINS, max(_MIN_BINS, max_cells // columns))
    covered, means, depth = [], [], np.zeros(residues, np.int64)
    for members in np.array_split(order, bins):
        present = _present(matrix, members)
        depth += present
        edges = np.arange(0, residues, width)
        sizes = np.diff(np.append(edges, residues)) * len(members)
        covered.append(np.rint(STEPS * np.add.reduceat(present, edges) / sizes))
        means.append(round(100 * float(identity[members].mean())))
    return Coverage(
        chain_ids=chain_ids,
        residues=residues,
        rows=len(rows),
        unfit=unfit,
        identity=np.array(means, np.uint8),
        covered=np.array(covered, np.uint8),
        column_width=width,
        depth=depth.astype(np.int32),
    )


def coverage_payload(shown: Coverage) -> JsonObject:
    """What the page is given of one alignment."""
    return {
        "chains": list(shown.chain_ids),
        "residues": shown.residues,
        "rows": shown.rows,
        "unfit": shown.unfit,
        "bins": len(shown.identity),
        "column_width": shown.column_width,
        "steps": STEPS,
        "identity": pack(shown.identity),
        "covered": pack(shown.covered),
        "depth": pack(shown.depth),
    }


def _rows(sequence: str, alignments: list[str]) -> tuple[list[str], int]:
    """The different rows without insertions, the query first, and how many do not fit."""
    different, unfit = {sequence.upper(): None}, 0
    for text in alignments:
        for _, row in read_a3m(text):
            columns = row.translate(NO_INSERTIONS)
            if len(columns) == len(sequence):
                different[columns] = None
            else:
                unfit += 1
    return list(different), unfit


def _blocks(members: NDArray[np.intp]) -> Iterator[NDArray[np.intp]]:
    for start in range(0, len(members), _BLOCK):
        yield members[start : start + _BLOCK]


def _identities(matrix: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Share of the first row's letters that each row has, float64 [rows]."""
    blocks = _blocks(np.arange(len(matrix)))
    return np.concatenate([(matrix[block] == matrix[0]).mean(axis=1) for block in blocks])


def _present(matrix: NDArray[np.uint8], members: NDArray[np.intp]) -> NDArray[np.int64]:
    """How many of some rows have a residue at each position, int64 [residues]."""
    counts = np.zeros(matrix.shape[1], np.int64)
    for block in _blocks(members):
        counts += np.count_nonzero(matrix[block] != _GAP, axis=0)
    return counts


def _text(value: Json) -> str:
    return value if isinstance(value, str) else ""
