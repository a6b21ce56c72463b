"""The smallest score with which a target may pass jackhmmer's first filter.

HMMER scores the best ungapped segments of a target in whole thirds of a bit (its MSV
filter), turns the score into a P-value and drops the target if that exceeds F1. Everything
but the segment's score depends on the target's length alone, so a query needs one number
for each length. Formulas: `p7_MSVFilter`, `p7_SSVFilter` and `p7_Pipeline` of HMMER 3.4.
"""

import dataclasses
import math

import numpy as np
from numpy.typing import NDArray

# HMMER ends with an error at a longer target.
LONGEST_TARGET = 100_000
# Thirds of a bit by which thresholds are lowered. One covers every cost that another
# compiler or processor could round the other way: a cost is off by one at the most,
# and a P-value by far less than a third of a bit is worth.
MARGIN = 1
# How near to a half a length's cost may lie before it counts as one that rounds down.
_TIE = 1e-4


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class FilterCosts:
    """What the filter adds to a segment's score, in thirds of a bit unless said otherwise.

    Attributes:
        scale: Units a nat: 3 / ln 2.
        base: The filter's zero.
        bias: The highest score of a residue; what HMMER adds to keep costs positive.
        begin: Cost of a segment's beginning (B to M).
        end: Cost of a segment's end (E to C or J).
        mu: Location of the scores' Gumbel distribution, in bits.
        decay: Its lambda, a bit.
    """

    scale: float
    base: int
    bias: int
    begin: int
    end: int
    mu: float
    decay: float


def least_scores(costs: FilterCosts, f1: float, margin: int = MARGIN) -> NDArray[np.uint8]:
    """Finds the smallest segment score to keep for every length of a target.

    A target is kept if its score reaches F1, if a second segment might add to it, or if the
    filter's bytes might overflow: HMMER computes the last two in another way, which can only
    raise the score.

    Args:
        costs: The query's.
        f1: P-value up to which HMMER lets a target pass, above 0 and below 1.
        margin: By how much to lower all thresholds.

    Returns:
        For each length from 0 to `LONGEST_TARGET` the smallest score S, where 0 is the score of
        no segment. 0 keeps everything.
    """
    length = np.arange(LONGEST_TARGET + 1, dtype=np.float64)
    loop = np.floor(costs.scale * np.log((length + 3) / 3) + 0.5 - _TIE)
    fixed = costs.begin + costs.end
    by_p_value = costs.scale * (_least_nats(costs, f1) + _null_nats(length) + 3) + 2 * loop + fixed
    by_second_segment = loop + fixed + 1
    by_overflow = np.minimum(255 - costs.bias - costs.base + loop + costs.begin, 255 - costs.bias)
    least = np.minimum(np.minimum(by_p_value, by_second_segment), by_overflow)
    # HMMER's arithmetic stops at zero: beyond, its score is higher than the formula's.
    least[costs.base - loop - costs.begin <= 0] = 0
    rounded: NDArray[np.uint8] = np.clip(np.ceil(least - _TIE) - margin, 0, 255).astype(np.uint8)
    return rounded


def _least_nats(costs: FilterCosts, f1: float) -> float:
    """Smallest log-odds score, in nats, whose P-value is at most F1 (a Gumbel's survival)."""
    bits = costs.mu - math.log(-math.log1p(-f1)) / costs.decay
    return bits * math.log(2)


def _null_nats(length: NDArray[np.float64]) -> NDArray[np.float64]:
    """Score of the null model: as many residues and then the end, in nats."""
    # Single precision, as in HMMER: 1 - L/(L+1) loses digits with growing L.
    stay = (length.astype(np.float32) / (length + 1).astype(np.float32)).astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        nats = length * np.log(stay) + np.log(1 - stay)
    return np.where(length == 0, 0.0, nats)
