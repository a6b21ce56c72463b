"""Searches after a scan give jackhmmer's own result, byte for byte."""

import gzip
import importlib.util
import itertools
import os
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.search import made_cases
from tests.search.beside_jackhmmer import OPTION_SETS, PROGRAMS, compare, has_limit
from tests.search.reference import write_fasta

pytestmark = pytest.mark.skipif(not PROGRAMS, reason="no jackhmmer (Debian: apt install hmmer)")

MMSEQS = Path("/usr/share/doc/mmseqs2/example-data")
HMMER = Path("/usr/share/doc/hmmer/examples/tutorial")
LEAST_PAIRS = 1000
# FASTA files to compare on, separated by colons; read before the environment is cleared.
OTHER_DATABASES = os.environ.get("AF3OPT_TEST_DATABASES", "")


def write_case(folder, seed, kind, hostile):
    query, data = made_cases.case(seed, kind, hostile)
    path = folder / f"{kind}-{seed}.fasta"
    path.write_bytes(data)
    return query, path


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    kind=st.sampled_from(made_cases.KINDS),
    hostile=st.booleans(),
    options=st.sampled_from(sorted(OPTION_SETS)),
    program=st.sampled_from(PROGRAMS or [""]),
)
def test_made_searches_give_the_same_alignment(
    tmp_path_factory, seed, kind, hostile, options, program
):
    query, path = write_case(tmp_path_factory.mktemp("made"), seed, kind, hostile)
    outcome = compare(program, query, path, OPTION_SETS[options])
    assert outcome.reason is None
    assert outcome.same


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_search_that_finds_nothing(tmp_path, program):
    generator = np.random.default_rng(1)
    targets = [made_cases.made_protein(generator, 100) for _ in range(50)]
    path = write_fasta(tmp_path / "targets.fasta", targets)
    outcome = compare(program, made_cases.made_protein(generator, 120), path, "--F1 1e-9 -E 1e-9")
    assert outcome.same
    assert (outcome.hits, outcome.survivors, outcome.targets) == (0, 0, 50)


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("limit", [1, 7])
def test_a_limit_of_hits_cuts_the_same_ones(tmp_path, program, limit):
    if not has_limit(program):
        pytest.skip(f"{program} has no --seq_limit")
    query, path = write_case(tmp_path, 5, "usual", hostile=True)
    outcome = compare(program, query, path, f"{OPTION_SETS['engine']} --seq_limit {limit}")
    assert outcome.reason is None
    assert outcome.same
    assert outcome.hits >= limit


@pytest.mark.parametrize("program", PROGRAMS)
def test_shards_are_searched_like_files_of_their_own(tmp_path, program):
    query, path = write_case(tmp_path, 7, "usual", True)
    data = path.read_bytes()
    middle = data.index(b"\n>", len(data) // 2) + 1
    for index, part in enumerate((data[:middle], data[middle:])):
        shard = tmp_path / f"shard-{index:05d}-of-00002"
        shard.write_bytes(part)
        assert compare(program, query, shard, OPTION_SETS["z"]).same


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("letter", [".", "_"])
def test_what_jackhmmer_dies_of_still_kills_it(tmp_path, program, letter):
    """It cannot align a gap inside a relative; a search without the relative would be wrong."""
    query = made_cases.made_protein(np.random.default_rng(3), 150)
    path = write_fasta(tmp_path / "targets.fasta", [query[:75] + letter + query[75:]])
    outcome = compare(program, query, path)
    assert outcome.failed
    assert outcome.same


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_target_that_is_too_long_for_hmmer(tmp_path, program):
    generator = np.random.default_rng(4)
    targets = [made_cases.made_protein(generator, length) for length in (50, 100_001, 60)]
    path = write_fasta(tmp_path / "targets.fasta", targets)
    outcome = compare(program, made_cases.made_protein(generator, 80), path)
    assert outcome.failed
    assert outcome.same


@pytest.mark.parametrize("program", PROGRAMS)
def test_few_survivors_of_many_targets(tmp_path, program):
    """Not everything survives: what the scan is for."""
    generator = np.random.default_rng(2)
    query = made_cases.made_protein(generator, 200)
    targets = [made_cases.made_protein(generator, 300) for _ in range(2000)]
    targets[::100] = [made_cases.relative(query, generator) for _ in targets[::100]]
    outcome = compare(program, query, write_fasta(tmp_path / "targets.fasta", targets))
    assert outcome.same
    assert outcome.hits > 5
    assert outcome.survivors < 100


def sequences_of(path):
    text = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    records = text.decode("latin-1").lstrip(">").split("\n>")
    return ["".join(record.split("\n")[1:]).replace(" ", "").strip("*") for record in records]


def further_databases():
    """AlphaFold 3's miniature databases, if the engine has them, and what the caller names."""
    engine = importlib.util.find_spec("alphafold3")
    folders = [] if engine is None or engine.origin is None else [Path(engine.origin).parent]
    found = [
        path
        for folder in folders
        for path in sorted((folder / "test_data" / "miniature_databases").glob("*.fa*"))
        if not re.match("nt_|rfam|rna", path.name)
    ]
    return [*found, *(Path(name) for name in OTHER_DATABASES.split(":") if name)]


def real_pairs(folder):
    """Queries of MMseqs2's and HMMER's examples with their databases and the engine's."""
    queries = []
    if (MMSEQS / "QUERY.fasta.gz").exists():
        queries = sequences_of(MMSEQS / "QUERY.fasta.gz")
        database = write_fasta(folder / "mmseqs.fasta", sequences_of(MMSEQS / "DB.fasta.gz"))
        yield from ((query, database, "engine") for query in queries)
    if (HMMER / "globins45.fa").exists():
        globins = HMMER / "globins45.fa"
        own = sequences_of(globins)
        yield from ((query, globins, "loose") for query in own)
        queries += own
    for database, query in itertools.product(further_databases(), queries[::5]):
        yield query, database, "engine"


def made_pairs(folder):
    for seed in itertools.count(1000):
        kind = made_cases.KINDS[seed % len(made_cases.KINDS)]
        options = sorted(OPTION_SETS)[seed // 2 % len(OPTION_SETS)]
        query, path = write_case(folder, seed, kind, hostile=seed % 3 > 0)
        yield query, path, options
        path.unlink()


@pytest.mark.equality
@pytest.mark.slow
@pytest.mark.timeout(4 * 3600)
@pytest.mark.parametrize("program", PROGRAMS)
def test_a_thousand_pairs_of_query_and_database(tmp_path, program, capsys):
    real = list(real_pairs(tmp_path))
    made = made_pairs(tmp_path)
    count = max(400, LEAST_PAIRS - len(real))
    hits = survivors = targets = 0
    differences, aside, failed = [], [], 0
    for number, (query, database, options) in enumerate(
        itertools.chain(real, itertools.islice(made, count))
    ):
        outcome = compare(program, query, database, OPTION_SETS[options])
        if not outcome.same:
            differences.append((number, database.name, query))
        if outcome.reason is not None:
            aside.append((database.name, outcome.reason))
        failed += outcome.failed
        hits += outcome.hits
        survivors += outcome.survivors or 0
        targets += outcome.targets
    with capsys.disabled():
        print(
            f"\n{program}: {len(real)} real and {count} made pairs, {targets} targets, "
            f"{survivors} survivors, {hits} hits, {len(differences)} differences, "
            f"{len(aside)} stepped aside, {failed} fail in jackhmmer"
        )
    assert not differences
    assert not aside
    assert len(real) + count >= LEAST_PAIRS
    assert hits > 1000
