"""Made databases: the same from the same seed, and like a real one where it matters."""

import collections

import numpy as np
import pytest

from af3opt.benchmarks.made_proteins import made_protein, write_database

QUERIES = [made_protein(np.random.default_rng(0), 200)]


def written(path, size=2_000_000, relatives=0.01, seed=0):
    return write_database(path, size, QUERIES, relatives, seed), path.read_bytes()


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    return written(tmp_path_factory.mktemp("made") / "db.fasta")


def test_what_is_reported_is_what_is_there(database):
    facts, data = database
    records = data.split(b">")[1:]
    sequences = [b"".join(record.split(b"\n")[1:]) for record in records]
    assert facts.size == len(data)
    assert 2_000_000 <= facts.size < 2_100_000
    assert facts.targets == len(records)
    assert facts.residues == sum(map(len, sequences))
    assert all(len(line) <= 60 for record in records for line in record.split(b"\n")[1:])
    assert len({record.split()[0] for record in records}) == len(records)


def test_lengths_and_composition_are_those_of_proteins(database):
    _, data = database
    sequences = [b"".join(record.split(b"\n")[1:]) for record in data.split(b">")[1:]]
    assert 300 < np.mean([len(one) for one in sequences]) < 380
    counts = collections.Counter(b"".join(sequences).decode())
    share = {letter: count / counts.total() for letter, count in counts.items()}
    assert len(share) == 20
    assert share["L"] == max(share.values())
    assert share["W"] == pytest.approx(0.011, abs=0.003)


def test_relatives_come_at_the_chosen_rate(tmp_path, database):
    facts, _ = database
    assert 0.005 < facts.relatives / facts.targets < 0.02
    assert written(tmp_path / "none.fasta", 100_000, relatives=0)[0].relatives == 0
    facts, data = written(tmp_path / "all.fasta", 50_000, relatives=1)
    assert facts.relatives == facts.targets
    words = {QUERIES[0][start : start + 8].encode() for start in range(190)}
    text = data.replace(b"\n", b"")
    assert sum(word in text for word in words) > 20


def test_the_same_seed_gives_the_same_file(tmp_path, database):
    assert written(tmp_path / "again.fasta") == database
    assert written(tmp_path / "other.fasta", seed=1) != database


def test_a_database_without_queries(tmp_path):
    assert write_database(tmp_path / "db.fasta", 10_000, [], 0.5).relatives == 0
