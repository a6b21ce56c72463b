"""The query's scores against HMMER's own filter and the real jackhmmer's profile."""

import shutil
import subprocess
import sys

import numpy as np
import pytest
from pyhmmer.easel import Alphabet, TextSequence
from pyhmmer.plan7 import Background, Builder, HMMFile

from af3opt.benchmarks.made_proteins import made_protein
from af3opt.search import profile
from af3opt.search.aside import Aside
from af3opt.search.profile import Profile, build_profile
from tests.search.reference import LETTERS, segment_score

F1 = 5e-4
ALPHABET = Alphabet.amino()
needs_jackhmmer = pytest.mark.skipif(not shutil.which("jackhmmer"), reason="no jackhmmer")
QUERIES = [
    made_protein(np.random.default_rng(residues), residues) for residues in (10, 15, 16, 17, 300)
] + ["MKXXBZUOJ" * 5, "Q" * 80, "lowercaseacd", "ACDEFGHIKLMNPQRSTVWYBJZOUX"]


def hmmer_profile(sequence):
    query = TextSequence(name=b"query", sequence=sequence).digitize(ALPHABET)
    return Builder(ALPHABET).build(query, Background(ALPHABET))


@pytest.mark.parametrize("sequence", QUERIES)
def test_scores_are_those_of_hmmers_filter(sequence):
    built = build_profile(sequence, F1)
    assert isinstance(built, Profile)
    _, _, optimized = hmmer_profile(sequence)
    generator = np.random.default_rng(len(sequence))
    for length in (1, 9, 40, 200, 700):
        target = "".join(generator.choice(list(LETTERS + "BJZOUX*~"), length))
        target += sequence[: length // 5]
        optimized.L = len(target)
        digital = TextSequence(name=b"t", sequence=target).digitize(ALPHABET)
        nats = optimized.ssv_filter(digital)  # not a number: HMMER asks its slower filter
        highest = segment_score(built.scores, target) + optimized.base_b - optimized.tjb
        highest -= optimized.tbm
        after = highest - optimized.tec
        if not np.isfinite(nats):
            assert after > optimized.base_b or highest >= 255 - optimized.bias_b
        else:
            wanted = (after - optimized.tjb - optimized.base_b) / optimized.scale_b - 3
            assert nats == pytest.approx(wanted, abs=1e-5)


def test_every_target_that_hmmers_filter_passes_is_kept():
    """With the state that joins segments, with repeats, and up to scores that overflow."""
    generator = np.random.default_rng(9)
    sequence = made_protein(generator, 150)
    built = build_profile(sequence, F1)
    assert isinstance(built, Profile)
    _, _, optimized = hmmer_profile(sequence)
    passed = joined = 0
    for _ in range(400):
        pieces = [made_protein(generator, int(generator.integers(1, 200)))]
        for _ in range(int(generator.integers(0, 4))):
            start = int(generator.integers(140))
            pieces.append(sequence[start : start + int(generator.integers(4, 25))])
            pieces.append(made_protein(generator, int(generator.integers(1, 60))))
        target = "".join(pieces)
        optimized.L = length = len(target)
        digital = TextSequence(name=b"t", sequence=target).digitize(ALPHABET)
        nats = optimized.msv_filter(digital)
        null = length * np.log(length / (length + 1)) + np.log(1 / (length + 1))
        bits = (nats - null) / np.log(2)
        power = np.exp(-built.costs.decay * (bits - built.costs.mu))
        score = segment_score(built.scores, target)
        if -np.expm1(-power) <= F1:
            passed += 1
            assert score >= built.least[length]
        joined += bool(np.isnan(optimized.ssv_filter(digital)))
    assert passed > 50
    assert joined > 10


@needs_jackhmmer
@pytest.mark.parametrize("sequence", QUERIES)
def test_jackhmmer_builds_the_same_profile(tmp_path, sequence):
    (tmp_path / "query.fasta").write_text(f">query\n{sequence}\n")
    (tmp_path / "target.fasta").write_text(">target\nACDEFGH\n")
    command = [*("jackhmmer", "-N", "1", "--chkhmm", "saved"), "query.fasta", "target.fasta"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    with HMMFile(tmp_path / "saved-1.hmm") as file:
        saved = file.read()
    ours, _, _ = hmmer_profile(sequence)
    # The file holds five decimals of emissions and four of statistics.
    assert np.allclose(
        np.log(np.asarray(saved.match_emissions)[1:]),
        np.log(np.asarray(ours.match_emissions)[1:]),
        atol=2e-5,
    )
    statistics = [np.asarray(one.evalue_parameters.as_vector()) for one in (saved, ours)]
    assert np.allclose(*statistics, atol=2e-4)


def test_no_score_lies_where_rounding_could_differ():
    """Every processor and compiler rounds every score of every query to the same unit.

    The scores of a position depend on its letter alone, so one query of all letters shows
    them all.
    """
    letters = "ACDEFGHIKLMNPQRSTVWYBJZOUX"
    hmm, _, optimized = hmmer_profile(letters)
    background = np.asarray(Background(ALPHABET).residue_frequencies)
    core = np.log(np.asarray(hmm.match_emissions)[1:] / background)
    members = {"B": "ND", "J": "IL", "Z": "QE", "O": "K", "U": "C", "X": LETTERS}
    unclear = []
    for several in members.values():
        index = [letters.index(one) for one in several]
        share = background[index] / background[index].sum()
        unclear.append(core[:, index] @ share)
    units = np.hstack([core, np.array(unclear).T]) * optimized.scale_b
    from_border = np.abs(units - np.floor(units) - 0.5)
    assert from_border.min() > 1e-3


@pytest.mark.parametrize(
    ("sequence", "f1", "reason"),
    [
        ("", F1, "letters"),
        ("MK-L", F1, "letters"),
        ("MK*", F1, "letters"),
        ("M" * (profile.LONGEST_QUERY + 1), F1, "residues"),
        ("MKL", 0.0, "F1"),
        ("MKL", 0.5, "F1"),
        ("MKL", float("nan"), "F1"),
    ],
)
def test_what_is_not_understood_is_left_alone(sequence, f1, reason):
    aside = build_profile(sequence, f1)
    assert isinstance(aside, Aside)
    assert reason in aside.reason


def test_without_pyhmmer_the_search_steps_aside(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyhmmer.easel", None)
    aside = build_profile("MKL", F1)
    assert isinstance(aside, Aside)
    assert "pyhmmer" in aside.reason
