"""The small languages of cells: chains, modifications, copies, seeds."""

import re

from af3opt.inputs.findings import shown
from af3opt.inputs.making.records import LIGANDS, POLYMERS, BadCellError, Origin, Part

_KINDS = (*POLYMERS, *LIGANDS)
# Python refuses to read numbers of thousands of digits; none is so large here.
_MODIFICATION = re.compile(r"([^@;,\s]+)@([0-9]{1,18})")
_SEPARATORS = re.compile(r"[;,\s]+")
_NUMBER = re.compile(r"[0-9]{1,18}")
_RANGE = re.compile(r"([0-9]+)-([0-9]+)")
_MOST_COPIES = 1000
_LARGEST_SEED = 2**32 - 1
_MOST_SEEDS = 100_000
# So short a peptide of A, C, G and T only is likelier than an oligonucleotide.
_SHORTEST_DOUBT = 8


def parse_chains(text: str, kind: str | None, origin: Origin) -> tuple[Part, ...]:
    """Reads the chains of one job, written as ColabFold writes them.

    Chains are separated by `:`. A chain is a protein, or of the kind that it names:
    `rna|ACGU`, `dna|ACGT`, `ccd|ATP`, `smiles|CCO` (`;` for a `:` in the SMILES).

    Args:
        text: The chains.
        kind: Kind of chains that name none; None to take them for proteins, unless they
            look like nucleic acids.
        origin: Where it was read.

    Raises:
        BadCellError: it cannot be understood.
    """
    if not text.strip():
        raise BadCellError("is empty; give a sequence")
    return tuple(_parse_chain(chain, kind, origin) for chain in text.split(":"))


def _parse_chain(text: str, kind: str | None, origin: Origin) -> Part:
    named, bar, content = text.partition("|")
    if not bar:
        return Part(kind=kind or _guessed_kind(text), content=text.strip(), origin=origin)
    named = named.strip().lower()
    if named not in _KINDS:
        raise BadCellError(f"{shown(named)} is no kind of chain; give one of {', '.join(_KINDS)}")
    content = content.strip()
    if named == "smiles":
        content = content.replace(";", ":")
    return Part(kind=named, content=content, origin=origin)


def _guessed_kind(sequence: str) -> str:
    letters = set(sequence.strip().upper())
    if len(sequence.strip()) >= _SHORTEST_DOUBT and letters <= set("ACGTUN"):
        raise BadCellError(
            f"{shown(sequence)} may be a protein, RNA or DNA; say which by --kind, or write "
            "rna|... or dna|..."
        )
    return "protein"


def parse_modifications(text: str) -> tuple[tuple[str, int], ...]:
    """Reads modified residues, such as `SEP@5; HYP@12`.

    Raises:
        BadCellError: it cannot be understood.
    """
    modifications = []
    for item in filter(None, _SEPARATORS.split(text)):
        match = _MODIFICATION.fullmatch(item)
        if match is None:
            raise BadCellError(
                f"{shown(item)} is no modification; write the CCD code and the position of the "
                "residue from 1, such as SEP@5"
            )
        modifications.append((match[1], int(match[2])))
    return tuple(modifications)


def parse_copies(text: str) -> int:
    """Reads a number of copies.

    Raises:
        BadCellError: it is none.
    """
    if not _NUMBER.fullmatch(text) or not 1 <= int(text) <= _MOST_COPIES:
        raise BadCellError(f"{shown(text)} is no number of copies; give 1 to {_MOST_COPIES}")
    return int(text)


def parse_seeds(text: str) -> tuple[int, ...]:
    """Reads seeds, such as `1`, `1,2,3` or `1-5`.

    Raises:
        BadCellError: it cannot be understood.
    """
    seeds: list[int] = []
    for item in filter(None, _SEPARATORS.split(text)):
        match = _RANGE.fullmatch(item)
        first, last = (match[1], match[2]) if match is not None else (item, item)
        numbers = (first, last)
        if not all(map(_NUMBER.fullmatch, numbers)) or int(first) > int(last):
            raise BadCellError(f"{shown(item)} is no seed; write numbers, such as 1,2,3 or 1-5")
        if int(last) > _LARGEST_SEED or int(last) - int(first) >= _MOST_SEEDS:
            raise BadCellError(f"{shown(item)}: seeds are numbers from 0 to {_LARGEST_SEED}")
        seeds += range(int(first), int(last) + 1)
    if not seeds:
        raise BadCellError("is empty; give at least one seed")
    return tuple(dict.fromkeys(seeds))
