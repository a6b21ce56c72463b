"""The benchmark of featurisation: its inputs are alignments, and its parts add up."""

import json

import numpy as np
import pytest

from af3opt.benchmarks.alignments import LETTERS, family_alignment

SEQUENCE = "".join(LETTERS[number % 20] for number in range(0, 700, 7))


@pytest.fixture(scope="module")
def rows():
    text = family_alignment(SEQUENCE, 300, np.random.default_rng(3))
    return text.splitlines()[1::2]


def _aligned(row):
    return "".join(letter for letter in row if not letter.islower())


def test_rows_are_an_a3m_alignment_of_the_query(rows):
    assert rows[0] == SEQUENCE
    assert len(rows) == 300
    assert {len(_aligned(row)) for row in rows} == {len(SEQUENCE)}
    assert set("".join(rows)) <= {*LETTERS, *LETTERS.lower(), "-"}


def test_rows_are_relatives_with_gaps_and_insertions_best_first(rows):
    identities = [sum(a == b for a, b in zip(_aligned(row), SEQUENCE, strict=True)) for row in rows]
    assert identities == sorted(identities, reverse=True)
    assert 0.25 < np.median(identities) / len(SEQUENCE) < 0.6
    text = "".join(rows)
    assert 0.1 < text.count("-") / len(text) < 0.4
    assert any(letter.islower() for letter in text)
    # Relatives of the same ancestor: columns are not independent of each other.
    assert len(set(rows)) == len(rows)


def test_the_same_numbers_give_the_same_alignment(rows):
    again = family_alignment(SEQUENCE, 300, np.random.default_rng(3))
    assert again.splitlines()[1::2] == rows


@pytest.mark.engine
@pytest.mark.slow
def test_the_parts_of_the_profile_are_those_of_a_featurisation(prepared_home, capsys):
    from af3opt.benchmarks.features import main
    from af3opt.engine.modules import engine_module
    from af3opt.features import components

    embed = components.embed
    flags = ("--tokens=30", "--rows=20", "--seeds=2", "--repeats=1", "--profile", "--json")
    assert main(flags) == 0
    found = {one["what"]: one["value"] for one in json.loads(capsys.readouterr().out)}
    assert found["cold: RDKit's conformers, 60 calls"] > 0
    assert found["cold: rotating and placing conformers, 60 calls"] > 0
    assert any(what.startswith("cold: alignments") for what in found)
    # What was timed is in place again.
    assert components.embed is embed
    assert not hasattr(engine_module("model.features").random_augmentation, "__wrapped__")
