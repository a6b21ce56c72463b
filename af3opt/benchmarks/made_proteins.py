"""Protein databases made for measuring: residues, lengths and headers as in UniRef90.

The same seed gives the same file. Targets are random apart from a chosen share of relatives
of given queries, so what such a search finds means nothing in biology.
"""

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

# Residues in percent of UniProtKB/Swiss-Prot, as its release statistics give them.
_PERCENT = {
    "A": 8.25, "R": 5.53, "N": 4.06, "D": 5.46, "C": 1.38, "Q": 3.93, "E": 6.72, "G": 7.07,
    "H": 2.27, "I": 5.91, "L": 9.65, "K": 5.80, "M": 2.41, "F": 3.86, "P": 4.74, "S": 6.65,
    "T": 5.36, "W": 1.10, "Y": 2.92, "V": 6.86,
}  # fmt: skip
# Lengths are log-normal: a median of 270 residues and a mean near 340.
_MEDIAN_RESIDUES, _SPREAD = 270, 0.68
_FEWEST_RESIDUES, _MOST_RESIDUES = 11, 35_000
_LINE = 60
_RECORDS_AT_A_TIME = 20_000
# Shares of a relative's residues that are its query's.
_LEAST_IDENTITY, _MOST_IDENTITY = 0.3, 0.95
_INDELS_A_RESIDUE = 0.01


@dataclasses.dataclass(frozen=True, slots=True)
class MadeDatabase:
    """What was written.

    Attributes:
        targets: Records.
        residues: Their residues.
        relatives: Records that hold a relative of a query.
        size: Bytes of the file.
    """

    targets: int
    residues: int
    relatives: int
    size: int


def write_database(
    path: Path, size: int, queries: Sequence[str], relatives: float, seed: int = 0
) -> MadeDatabase:
    """Writes a FASTA file of about a size; memory does not grow with it.

    Args:
        path: The file, overwritten.
        size: Bytes to reach.
        queries: Sequences whose relatives are strewn in.
        relatives: Share of the targets that are relatives, 0 to 1.
        seed: Of the random numbers.
    """
    generator = np.random.default_rng(seed)
    targets = residues = strewn = written = 0
    with path.open("wb") as file:
        for record, length, is_relative in _records(generator, queries, relatives):
            file.write(record)
            written += len(record)
            targets += 1
            residues += length
            strewn += is_relative
            if written >= size:
                break
    return MadeDatabase(targets, residues, strewn, written)


def made_protein(generator: np.random.Generator, residues: int) -> str:
    """A random protein of usual composition."""
    return _letters(generator, residues).tobytes().decode("ascii")


def _records(
    generator: np.random.Generator, queries: Sequence[str], relatives: float
) -> Iterator[tuple[bytes, int, bool]]:
    number = 0
    while True:
        exponents = generator.standard_normal(_RECORDS_AT_A_TIME) * _SPREAD
        lengths = (_MEDIAN_RESIDUES * np.exp(exponents)).astype(int)
        lengths = lengths.clip(_FEWEST_RESIDUES, _MOST_RESIDUES)
        letters = _letters(generator, int(lengths.sum())).tobytes()
        is_relative = generator.random(_RECORDS_AT_A_TIME) < (relatives if queries else 0)
        start = 0
        for length, related in zip(lengths.tolist(), is_relative.tolist(), strict=True):
            sequence = letters[start : start + length]
            start += length
            if related:
                sequence = _with_relative(generator, sequence, queries)
            yield _record(number, sequence), len(sequence), related
            number += 1


def _record(number: int, sequence: bytes) -> bytes:
    name = f"Made90_A0A{number:09X}"
    header = f">{name} Made protein {number} n=1 Tax=No organism TaxID=0 RepID={name}_MADE\n"
    lines = [sequence[at : at + _LINE] for at in range(0, len(sequence), _LINE)]
    return header.encode() + b"\n".join(lines) + b"\n"


def _with_relative(generator: np.random.Generator, flanks: bytes, queries: Sequence[str]) -> bytes:
    """Puts a mutated stretch of a query between the halves of a random sequence."""
    query = np.frombuffer(queries[int(generator.integers(len(queries)))].encode(), np.uint8)
    length = int(generator.integers(min(30, len(query)), len(query) + 1))
    start = int(generator.integers(len(query) - length + 1))
    stretch = query[start : start + length].copy()
    identity = generator.uniform(_LEAST_IDENTITY, _MOST_IDENTITY)
    changed = generator.random(length) >= identity
    stretch[changed] = _letters(generator, int(changed.sum()))
    kept = generator.random(length) >= _INDELS_A_RESIDUE
    half = len(flanks) // 2
    return flanks[:half] + stretch[kept].tobytes() + flanks[half:]


def _letters(generator: np.random.Generator, count: int) -> NDArray[np.uint8]:
    """Residues as ASCII codes, (count,) uint8."""
    return _WHEEL[generator.integers(0, len(_WHEEL), count, dtype=np.uint16)]


def _wheel() -> NDArray[np.uint8]:
    """Letters in proportion to their shares: an index drawn evenly gives a residue."""
    shares = np.array(list(_PERCENT.values()))
    fields = np.round(shares / shares.sum() * 10_000).astype(int)
    return np.repeat(np.frombuffer("".join(_PERCENT).encode(), np.uint8), fields)


_WHEEL = _wheel()
