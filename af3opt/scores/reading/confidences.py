"""Reading confidence files: scores of a sample, and its matrix of aligned errors."""

import csv
import dataclasses
import io
import math
from pathlib import Path
from typing import Any

import numpy as np

from af3opt.scores.reading.files import (
    UnreadableFileError,
    as_object,
    parse_json,
    read_bytes,
    read_json,
    read_text,
)
from af3opt.scores.reading.matrix import cut_matrices, parse_matrix


@dataclasses.dataclass(frozen=True, slots=True)
class Scores:
    """Summary confidences; None (or NaN in matrices) where undefined or missing.

    Attributes:
        ranking_score: What samples are ordered by.
        ptm: Predicted TM-score.
        iptm: Interface predicted TM-score; None for a single chain by design.
        fraction_disordered: Fraction of disordered residues.
        has_clash: Whether the engine found significant clashes.
        chain_ptm: pTM per chain, float32 [chains].
        chain_iptm: Mean ipTM of each chain with the others, float32 [chains].
        chain_pair_iptm: float32 [chains, chains].
        chain_pair_pae_min: Smallest PAE between two chains, angstrom, [chains, chains].
        chain_ids: Chains in the order of the arrays; None in files of older engines.
        note: What af3opt wrote into the file about its origin, or "".
    """

    ranking_score: float | None = None
    ptm: float | None = None
    iptm: float | None = None
    fraction_disordered: float | None = None
    has_clash: bool | None = None
    chain_ptm: np.ndarray | None = None
    chain_iptm: np.ndarray | None = None
    chain_pair_iptm: np.ndarray | None = None
    chain_pair_pae_min: np.ndarray | None = None
    chain_ids: tuple[str, ...] | None = None
    note: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class Confidences:
    """Full confidences of one sample; None for parts the file lacks.

    Attributes:
        pae: Predicted aligned error, angstrom, float32 [tokens, tokens]: row is
            the token aligned on, column the token whose error it is.
        token_chain_ids: Chain id of each token.
        token_res_ids: Residue number of each token.
        atom_plddts: float32 [atoms], 0-100.
    """

    pae: np.ndarray | None = None
    token_chain_ids: tuple[str, ...] | None = None
    token_res_ids: tuple[int, ...] | None = None
    atom_plddts: np.ndarray | None = None


def number_or_none(value: Any) -> float | None:
    """A finite number as float, anything else as None."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def _array(value: Any, dimensions: int) -> np.ndarray | None:
    """A regular nested list of numbers and nulls as float32, else None."""
    if not isinstance(value, list) or not value:
        return None
    try:
        array = np.array(value, dtype=np.float32)
    except (TypeError, ValueError, OverflowError):
        return None
    square = dimensions == 1 or (array.ndim == 2 and array.shape[0] == array.shape[1])
    return array if array.ndim == dimensions and square else None


def read_scores(path: Path) -> Scores:
    """Reads a summary confidences file; unknown fields are ignored.

    Raises:
        UnreadableFileError: it cannot be read or is not a JSON object.
    """
    values = as_object(read_json(path), path)
    clash = number_or_none(values.get("has_clash"))
    if isinstance(values.get("has_clash"), bool):
        clash = float(values["has_clash"])
    return Scores(
        ranking_score=number_or_none(values.get("ranking_score")),
        ptm=number_or_none(values.get("ptm")),
        iptm=number_or_none(values.get("iptm")),
        fraction_disordered=number_or_none(values.get("fraction_disordered")),
        has_clash=None if clash is None else clash > 0,
        chain_ptm=_array(values.get("chain_ptm"), 1),
        chain_iptm=_array(values.get("chain_iptm"), 1),
        chain_pair_iptm=_array(values.get("chain_pair_iptm"), 2),
        chain_pair_pae_min=_array(values.get("chain_pair_pae_min"), 2),
        # An engine that lists the chain of every token means the same order.
        chain_ids=tuple(dict.fromkeys(_words(values.get("chain_ids")) or ())) or None,
        note=str(values.get("af3opt_note") or ""),
    )


def read_confidences(path: Path) -> Confidences:
    """Reads a full confidences file.

    Raises:
        UnreadableFileError: it cannot be read or is not a JSON object.
    """
    data = read_bytes(path)
    rest, spans = cut_matrices(data, ("pae", "contact_probs"))
    pae = parse_matrix(data, spans["pae"]) if "pae" in spans else None
    try:
        values = as_object(parse_json(rest if pae is not None else data, path), path)
    except UnreadableFileError:
        # Perhaps not of the shape that could be cut; the parser knows.
        values = as_object(parse_json(data, path), path)
    return Confidences(
        pae=pae if pae is not None else _array(values.get("pae"), 2),
        token_chain_ids=_words(values.get("token_chain_ids")),
        token_res_ids=_integers(values.get("token_res_ids")),
        atom_plddts=_array(values.get("atom_plddts"), 1),
    )


def _words(values: Any) -> tuple[str, ...] | None:
    """A list as a tuple of text, else None."""
    return tuple(map(str, values)) if isinstance(values, list) else None


def _integers(values: Any) -> tuple[int, ...] | None:
    """A list of integers as a tuple, else None."""
    if isinstance(values, list) and all(type(v) is int and abs(v) < 2**31 for v in values):
        return tuple(values)
    return None


def read_ranking(path: Path) -> dict[tuple[int, int], float]:
    """Reads ranking scores as (seed, sample) to score; unreadable rows are dropped.

    Raises:
        UnreadableFileError: it cannot be read or lacks the columns.
    """
    rows = csv.DictReader(io.StringIO(read_text(path)))
    columns = ("seed", "sample", "ranking_score")
    if not set(columns) <= set(rows.fieldnames or ()):
        raise UnreadableFileError(path, f"no columns {', '.join(columns)}")
    ranking = {}
    try:
        for row in rows:
            try:
                key = (int(row["seed"]), int(row["sample"]))
                score = float(row["ranking_score"])
            except (TypeError, ValueError):
                continue
            if math.isfinite(score):
                ranking[key] = score
    except csv.Error as error:
        raise UnreadableFileError(path, "broken CSV") from error
    return ranking
