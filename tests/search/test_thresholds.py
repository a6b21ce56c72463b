"""Thresholds against HMMER's formulas, evaluated score by score in its own precision."""

import math

import numpy as np
import pytest

from af3opt.search.thresholds import LONGEST_TARGET, FilterCosts, least_scores

LENGTHS = [1, 2, 3, 5, 11, 60, 200, 351, 1000, 5000, 34_350, 99_999, LONGEST_TARGET]


def costs(residues, bias=16, mu=None, decay=0.7):
    begin = round(-3 / math.log(2) * math.log(2 / (residues * (residues + 1))))
    location = -5.0 - math.log2(residues) if mu is None else mu
    return FilterCosts(
        scale=3 / math.log(2), base=190, bias=bias, begin=begin, end=3, mu=location, decay=decay
    )


def passes(query, f1, length, score):
    """Does HMMER's filter let a target pass, as far as one segment decides?"""
    single = np.float32
    loop = int(np.round(query.scale * math.log((length + 3) / 3)))
    highest = query.base - loop - query.begin + score
    if score >= 255 - query.bias or highest >= 255 - query.bias:
        return True
    after = highest - query.end
    if after > query.base:
        return True
    nats = single(single(after - loop) - single(query.base)) / single(query.scale) - single(3)
    stay = single(length) / single(length + 1)
    null = single(length * math.log(stay) + math.log(1.0 - stay))
    bits = float((nats - null) / single(math.log(2)))
    power = math.exp(-query.decay * (bits - query.mu))
    return -math.expm1(-power) <= f1


@pytest.mark.parametrize("f1", [0.02, 5e-4, 1e-6])
@pytest.mark.parametrize("residues", [1, 10, 64, 238, 1000, 20_000])
def test_thresholds_are_hmmers(residues, f1):
    query = costs(residues)
    least = least_scores(query, f1, margin=0)
    for length in LENGTHS:
        smallest = next(score for score in range(256) if passes(query, f1, length, score))
        assert least[length] == smallest


@pytest.mark.parametrize("residues", [10, 238, 5000])
def test_the_margin_only_lowers_thresholds(residues):
    query = costs(residues)
    exact = least_scores(query, 5e-4, margin=0).astype(int)
    lowered = least_scores(query, 5e-4).astype(int)
    assert (lowered == np.maximum(exact - 1, 0)).all()


def test_an_error_of_one_unit_in_any_cost_drops_no_target():
    """What another compiler rounds the other way is covered by the margin."""
    query = costs(238)
    lowered = least_scores(query, 5e-4)
    for cheaper in ({"begin": query.begin - 1}, {"bias": query.bias + 1}, {"mu": query.mu + 1e-4}):
        other = FilterCosts(**{name: getattr(query, name) for name in query.__slots__} | cheaper)
        assert (lowered <= least_scores(other, 5e-4, margin=0)).all()


def test_higher_f1_keeps_more():
    strict = least_scores(costs(238), 1e-9)
    loose = least_scores(costs(238), 0.02)
    assert (loose <= strict).all()
    assert (loose < strict).any()


def test_overflowing_filters_keep_everything():
    """Where begin and loop eat up the filter's zero, HMMER's arithmetic is another."""
    least = least_scores(costs(238, mu=0.0), 5e-4)
    assert least[LONGEST_TARGET] > 0
    flat = FilterCosts(
        scale=3 / math.log(2), base=190, bias=16, begin=150, end=3, mu=0.0, decay=0.7
    )
    assert least_scores(flat, 5e-4)[LONGEST_TARGET] == 0
