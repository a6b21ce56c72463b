"""Each formula by hand, and what it does at its edges."""

import math

import numpy as np
import pytest

from af3opt.scores.ipsae import ipsae
from af3opt.scores.lis import local_interaction
from af3opt.scores.pdockq import pdockq, pdockq2

NOWHERE = (np.empty(0, np.intp), np.empty(0, np.intp))


def matrix(*rows):
    return np.array(rows, np.float32)


def test_ipsae_of_few_residues_has_the_least_d0():
    # d0 is 1: 1 / (1 + 1) and 1 / (1 + 4) in the first row, whose third is beyond the cutoff.
    found = ipsae(matrix([1, 2, 10], [3, 20, 20]), nucleic=False)
    assert found.score == pytest.approx((1 / 2 + 1 / 5) / 2)
    assert found.d0dom == found.d0chn == found.score


def test_ipsae_with_nucleic_acids_has_a_d0_of_two():
    found = ipsae(matrix([2, 20]), nucleic=True)
    assert found.score == pytest.approx(1 / (1 + (2 / 2) ** 2))


def test_d0_follows_from_what_each_variant_counts():
    pae = np.full((50, 40), 20, np.float32)
    pae[0, :30] = 4
    pae[1, :3] = 4

    def term(residues):
        return 1 / (1 + (4 / (1.24 * (residues - 15) ** (1 / 3) - 1.8)) ** 2)

    found = ipsae(pae, nucleic=False)
    assert found.score == pytest.approx(term(30))  # residues that the best row counts
    assert found.d0dom == pytest.approx(term(2 + 30))  # of both chains, with any such error
    assert found.d0chn == pytest.approx(term(50 + 40))


def test_ipsae_takes_its_cutoff_out_and_missing_values_as_beyond():
    assert ipsae(matrix([10, np.nan]), nucleic=False).score == 0
    assert ipsae(matrix([9.9, np.nan]), nucleic=False).score == pytest.approx(1 / (1 + 9.9**2))


def test_ipsae_of_nothing_is_zero():
    assert ipsae(np.empty((0, 3), np.float32), nucleic=False).score == 0
    assert ipsae(np.empty((3, 0), np.float32), nucleic=False).d0chn == 0


def test_lis_is_the_mean_over_close_pairs_of_both_directions():
    forward, backward = matrix([3, 6, 12]), matrix([9], [20], [20])
    found = local_interaction(forward, backward, (np.array([0]), np.array([1])))
    lis = ((1 - 3 / 12 + 1 - 6 / 12) / 2 + (1 - 9 / 12)) / 2
    clis = ((1 - 6 / 12) + 0) / 2
    assert found.lis == pytest.approx(lis)
    assert found.clis == pytest.approx(clis)
    assert found.ilis == pytest.approx(math.sqrt(lis * clis))


def test_lis_without_close_pairs_is_zero():
    found = local_interaction(matrix([12, 30]), matrix([np.nan], [13]), NOWHERE)
    assert (found.lis, found.clis, found.ilis) == (0, 0, 0)


def test_pdockq_counts_each_residue_once_and_each_contact():
    first, second = np.float32([90, 50]), np.float32([70, 0, 30])
    contacts = (np.array([0, 0, 0]), np.array([0, 0, 2]))
    x = (90 + 70 + 30) / 3 * math.log10(3)
    assert pdockq(first, second, contacts) == pytest.approx(
        0.724 / (1 + math.exp(-0.052 * (x - 152.611))) + 0.018
    )
    assert pdockq(first, second, NOWHERE) == 0


def test_pdockq2_weighs_residues_by_their_contacts():
    plddt, pae = np.float32([90, 90, 60]), np.float32([0, 10, 10])
    x = (90 + 90 + 60) / 3 * (1 + 0.5 + 0.5) / 3
    assert pdockq2(plddt, pae) == pytest.approx(
        1.31034849 / (1 + math.exp(-0.0747157696 * (x - 84.7326239))) + 0.00501886443
    )
    assert pdockq2(np.empty(0, np.float32), np.empty(0, np.float32)) == 0
