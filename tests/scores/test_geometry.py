"""Neighbours, contacts and surfaces."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from af3opt.scores.neighbours import close_pairs
from af3opt.scores.surface import atom_radii, buried_area


@given(
    seed=st.integers(0, 10**6),
    sizes=st.tuples(st.integers(0, 40), st.integers(0, 40)),
    cutoff=st.floats(0.3, 9),
    spread=st.floats(0.1, 30),
)
@settings(deadline=None, max_examples=60)
def test_close_pairs_are_those_of_all_distances(seed, sizes, cutoff, spread):
    rng = np.random.default_rng(seed)
    first, second = (rng.normal(0, spread, (size, 3)) for size in sizes)
    i, j, distance = close_pairs(first, second, cutoff)
    every = np.linalg.norm(first[:, None] - second[None], axis=-1)
    assert sorted(zip(i, j, strict=True)) == [tuple(pair) for pair in np.argwhere(every <= cutoff)]
    assert distance == pytest.approx(every[i, j])
    assert (np.diff(i) >= 0).all()


def test_points_that_are_no_positions_are_close_to_nothing():
    first = np.array([[0, 0, 0], [np.nan, 0, 0], [np.inf, 0, 0], [1e30, 0, 0]], np.float32)
    i, j, _ = close_pairs(first, first, 5.0)
    assert (i.tolist(), j.tolist()) == ([0], [0])


def test_far_points_need_no_large_grid():
    first = np.array([[0, 0, 0], [9e4, 9e4, 9e4]])
    i, j, _ = close_pairs(first, first[::-1], 1.0)
    assert sorted(zip(i.tolist(), j.tolist(), strict=True)) == [(0, 1), (1, 0)]


def cap(radius, other, distance):
    """Area of a sphere that lies inside another."""
    height = radius - (distance**2 + radius**2 - other**2) / (2 * distance)
    return 2 * np.pi * radius * height


def test_buried_area_of_two_atoms_is_that_of_their_caps():
    first, second = np.zeros((1, 3)), np.array([[0.4, 2.5, 0.3]])
    carbon, oxygen = np.float32([1.70]), np.float32([1.52])
    distance = float(np.linalg.norm(second))
    expected = cap(3.10, 2.92, distance) + cap(2.92, 3.10, distance)
    found = buried_area(first, carbon, second, oxygen, points=20000)
    assert found == pytest.approx(expected, rel=2e-3)


def test_surface_that_the_own_chain_covers_is_not_buried():
    ring = np.array([[np.cos(a), np.sin(a), 0] for a in np.arange(6) * np.pi / 3]) * 1.4
    inside, far = np.zeros((1, 3)), np.array([[9.0, 0, 0]])
    radii = np.full(7, 1.7, np.float32)
    alone = buried_area(np.vstack([ring, inside]), radii, far, radii[:1])
    assert alone == 0
    # The atom inside has next to no surface of its own: little more is buried with it.
    near = np.array([[0, 0, 4.5]])
    with_it = buried_area(np.vstack([ring, inside]), radii, near, radii[:1])
    without = buried_area(ring, radii[:6], near, radii[:1])
    single = buried_area(inside, radii[:1], near, radii[:1])
    assert with_it < without + single


def test_buried_area_does_not_depend_on_the_order():
    rng = np.random.default_rng(3)
    first, second = rng.uniform(0, 12, (60, 3)), rng.uniform(10, 22, (50, 3))
    a, b = np.full(60, 1.7, np.float32), np.full(50, 1.55, np.float32)
    area = buried_area(first, a, second, b)
    assert area > 0
    assert buried_area(second, b, first, a) == pytest.approx(area)
    order = rng.permutation(60)
    assert buried_area(first[order], a, second, b) == pytest.approx(area)


def test_many_atoms_bury_what_each_group_of_them_buries():
    """So many that their products are made in several blocks."""
    rng = np.random.default_rng(3)
    first, second = rng.uniform(0, 12, (60, 3)), rng.uniform(10, 22, (50, 3))
    a, b = np.full(60, 1.7, np.float32), np.full(50, 1.55, np.float32)
    area = buried_area(first, a, second, b)
    places = 256.0 * np.eye(1, 3) * np.arange(20)[:, None]
    apart = [np.concatenate(side + places[:, None]) for side in (first, second)]
    found = buried_area(apart[0], np.tile(a, 20), apart[1], np.tile(b, 20))
    assert found == pytest.approx(20 * area)


def test_radii_follow_the_element_in_any_case():
    assert atom_radii(("C", "Zn", "ZN", "Xx")).tolist() == pytest.approx([1.70, 1.39, 1.39, 1.80])
