"""A query's scores in jackhmmer's first filter.

For a single sequence jackhmmer always builds the same profile: the substitution matrix,
gap probabilities and the seed of the calibration are fixed. pyhmmer holds HMMER's own
library, so the profile comes from HMMER's code, not from an imitation of it.
"""

import dataclasses
import re

import numpy as np
from numpy.typing import NDArray

from af3opt.search.aside import Aside
from af3opt.search.thresholds import FilterCosts, least_scores

# jackhmmer's defaults for a single sequence.
_MATRIX = "BLOSUM62"
_GAP_OPEN = 0.02
_GAP_EXTEND = 0.4
_SEED = 42

# The filter's unit and zero; another value means another filter.
_SCALE = 3 / np.log(2)
_BASE = 190

# Above, hardly a target is dropped; HMMER's own default is 0.02.
_HIGHEST_F1 = 0.02
# Rows of the score table: 1 to 26 are letters; "*", "." and "~" follow.
CODES = 32
_OTHER_CODES = {27: "*", 28: "-", 29: "~"}
_LETTERS = re.compile(r"[A-Za-z]+")
# Positions that the compiled part takes; the longest known protein has 45,000 residues, but
# memory for its profile is not the search's greatest trouble.
LONGEST_QUERY = 20_000


@dataclasses.dataclass(frozen=True, slots=True)
class Profile:
    """What the scan needs to know of a query.

    Attributes:
        scores: (CODES, residues) int8, thirds of a bit: score of a target's residue, by its
            code, at a position of the query.
        least: (LONGEST_TARGET + 1,) uint8: smallest segment score to keep, by target length.
        costs: What lies between a segment's score and its P-value.
    """

    scores: NDArray[np.int8]
    least: NDArray[np.uint8]
    costs: FilterCosts


def build_profile(sequence: str, f1: float) -> Profile | Aside:
    """Builds the filter's view of a query.

    Args:
        sequence: Protein sequence in one-letter codes; X, B, Z, J, U and O included.
        f1: jackhmmer's `--F1`: P-value up to which a target passes the first filter.

    Returns:
        The profile, or why there is none.
    """
    if not _LETTERS.fullmatch(sequence):
        return Aside("the query holds something else than letters")
    if len(sequence) > LONGEST_QUERY:
        return Aside(f"a query of {len(sequence)} residues; {LONGEST_QUERY} are possible")
    if not 0 < f1 <= _HIGHEST_F1:
        return Aside(f"--F1={f1:g} lets too many targets pass")
    try:
        return _built(sequence, f1)
    except ImportError as error:
        return Aside(f"pyhmmer cannot be imported ({error})")
    except (AttributeError, TypeError, ValueError) as error:
        return Aside(f"this pyhmmer is another one ({error})")


def _built(sequence: str, f1: float) -> Profile | Aside:
    from pyhmmer.easel import Alphabet, TextSequence
    from pyhmmer.plan7 import Background, Builder

    alphabet = Alphabet.amino()
    builder = Builder(
        alphabet, popen=_GAP_OPEN, pextend=_GAP_EXTEND, score_matrix=_MATRIX, seed=_SEED
    )
    query = TextSequence(name=b"query", sequence=sequence).digitize(alphabet)
    hmm, _, optimized = builder.build(query, Background(alphabet))
    if optimized.base_b != _BASE or not np.isclose(optimized.scale_b, _SCALE):
        return Aside("this pyhmmer has another first filter")
    mu, decay = hmm.evalue_parameters.as_vector()[:2]
    costs = FilterCosts(
        scale=float(_SCALE),
        base=optimized.base_b,
        bias=optimized.bias_b,
        begin=optimized.tbm,
        end=optimized.tec,
        mu=mu,
        decay=decay,
    )
    byte_costs = _unstriped(np.asarray(optimized.rbv), len(sequence))
    by_symbol = np.clip(costs.bias - byte_costs.astype(np.int16), -128, 127).astype(np.int8)
    return Profile(_by_code(by_symbol, alphabet.symbols), least_scores(costs, f1), costs)


def _unstriped(striped: NDArray[np.uint8], residues: int) -> NDArray[np.uint8]:
    """Brings HMMER's order of positions (16 lanes of stretches) into the query's."""
    vectors = striped.shape[1] // 16
    position = np.arange(residues)
    return striped[:, position % vectors * 16 + position // vectors]


def _by_code(by_symbol: NDArray[np.int8], symbols: str) -> NDArray[np.int8]:
    """Sorts rows of HMMER's alphabet by the codes of the compiled part."""
    table = np.full((CODES, by_symbol.shape[1]), -128, np.int8)
    letters = {code: chr(ord("A") + code - 1) for code in range(1, 27)}
    for code, symbol in (letters | _OTHER_CODES).items():
        table[code] = by_symbol[symbols.index(symbol)]
    return table
