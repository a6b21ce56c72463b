"""The compiled part against the plain recurrence, for every instruction set."""

import itertools
import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from af3opt.search import _kernel, kernel
from af3opt.search.aside import Aside
from af3opt.search.profile import CODES
from af3opt.search.thresholds import LONGEST_TARGET
from tests.search.reference import (
    LETTERS,
    keeps,
    prepared,
    random_scores,
    records_of,
    segment_score,
    write_fasta,
)

ISAS = _kernel.instruction_sets()
# Around every border of vectors and parts: 16, 32 and 64 lanes; 256, 320 and 768 positions.
QUERY_LENGTHS = [
    *(1, 2, 14, 15, 16, 17, 31, 32, 33, 62, 63, 64, 65, 95, 127, 128, 191, 192, 238, 255, 256),
    *(257, 319, 320, 321, 383, 384, 511, 639, 640, 641, 767, 768, 769, 1000, 1535, 1536, 2400),
]
KEEP_ALL = np.zeros(LONGEST_TARGET + 1, np.uint8)


def scan(path, queries, span=None):
    size = path.stat().st_size
    with path.open("rb") as file:
        return kernel.scan_span(file.fileno(), span or range(size), size, queries)


def random_sequences(generator, lengths, letters=LETTERS):
    return ["".join(generator.choice(list(letters), length)) for length in lengths]


@pytest.fixture(scope="module")
def targets(tmp_path_factory):
    """Targets of different lengths, so that a threshold by length is one for each."""
    generator = np.random.default_rng(3)
    lengths = generator.permutation([*range(1, 70), 100, 129, 256, 300, 500, 1000, 2500])
    sequences = random_sequences(generator, lengths, LETTERS + "XBZJUO" + "acdy" + "*._~")
    return write_fasta(tmp_path_factory.mktemp("targets") / "targets.fasta", sequences), sequences


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("residues", QUERY_LENGTHS)
def test_a_target_is_kept_from_its_score_on(targets, isa, residues):
    path, sequences = targets
    scores = random_scores(np.random.default_rng(residues), residues)
    reached = {len(one): segment_score(scores, one) for one in sequences}
    above = {length: score + 1 for length, score in reached.items()}
    queries = [prepared(scores, keeps(reached), isa), prepared(scores, keeps(above), isa)]
    kept, dropped = scan(path, queries).survivors
    assert kept.records == path.read_bytes()
    assert (kept.targets, dropped.targets) == (len(sequences), 0)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("residues", [40, 250, 800, 1700])
def test_scores_saturate_at_both_ends(tmp_path, isa, residues):
    scores = np.full((CODES, residues), 16, np.int8)
    scores[:, ::7] = -128
    scores[:, 20:35] = 127
    sequence = "M" * 90
    path = write_fasta(tmp_path / "targets.fasta", [sequence])
    score = segment_score(scores, sequence)
    assert score == 255
    (kept,) = scan(path, [prepared(scores, keeps({90: 255}), isa)]).survivors
    assert kept.targets == 1


@pytest.mark.parametrize("isa", ISAS)
def test_many_short_targets_fill_more_than_a_block(tmp_path, isa):
    generator = np.random.default_rng(5)
    sequences = random_sequences(generator, generator.integers(1, 9, 9000))
    path = write_fasta(tmp_path / "targets.fasta", sequences)
    scores = random_scores(generator, 50)
    wanted = [segment_score(scores, one) >= 20 for one in sequences]
    assert 0 < sum(wanted) < len(wanted)
    least = np.full(LONGEST_TARGET + 1, 20, np.uint8)
    found = scan(path, [prepared(scores, least, isa)])
    assert (found.targets, found.survivors[0].targets) == (len(sequences), sum(wanted))
    records = [record for record, _ in records_of(path.read_bytes())]
    kept = b"".join(record for record, keep in zip(records, wanted, strict=True) if keep)
    assert found.survivors[0].records == kept


@pytest.mark.parametrize("isa", ISAS)
def test_long_records_outgrow_the_buffer(tmp_path, isa):
    generator = np.random.default_rng(6)
    sequences = random_sequences(generator, [LONGEST_TARGET, 10, LONGEST_TARGET + 1, 0, 7])
    header = ">" + "long " * 500_000 + "\nACD\n"
    path = tmp_path / "targets.fasta"
    path.write_text(header + "".join(f">t\n{one}\n" for one in sequences) + header)
    scores = random_scores(generator, 30)
    never = prepared(scores, keeps({}), isa)
    always = prepared(scores, KEEP_ALL, isa)
    found = scan(path, [never, always])
    assert found.targets == 7
    assert found.residues == sum(map(len, sequences)) + 6
    # HMMER refuses the one that is too long: it must see it. It skips the empty one.
    assert found.survivors[0].records == f">t\n{sequences[2]}\n".encode()
    assert found.survivors[1].records == path.read_bytes().replace(b">t\n\n", b"")


HOSTILE = st.lists(
    st.sampled_from(
        [">", ">a", ">b c\n", "> d", "\n", "\r\n", "\r", " ", "\t", "ACDEF", "x*", "._~", "wy"]
    ),
    max_size=60,
)


@given(parts=HOSTILE, cuts=st.lists(st.integers(0, 1 << 10), max_size=6))
@settings(max_examples=300, deadline=None)
def test_spans_hold_every_record_once(tmp_path_factory, parts, cuts):
    data = b">first\n" + "".join(parts).encode() + b"\n>last\nACD"
    path = tmp_path_factory.mktemp("spans") / "targets.fasta"
    path.write_bytes(data)
    query = prepared(random_scores(np.random.default_rng(1), 20), KEEP_ALL, ISAS[0])
    whole = scan(path, [query])
    borders = sorted({0, len(data), *(cut % len(data) for cut in cuts)})
    spans = [scan(path, [query], range(start, end)) for start, end in itertools.pairwise(borders)]
    if whole.state is not kernel.SpanState.DONE:
        assert any(span.state is whole.state for span in spans)
        return
    expected = records_of(data)
    assert whole.targets == len(expected) == sum(span.targets for span in spans)
    assert whole.residues == sum(len(residues) for _, residues in expected)
    kept = b"".join(record for record, residues in expected if residues)
    assert whole.survivors[0].records == kept
    assert b"".join(span.survivors[0].records for span in spans) == kept


@pytest.mark.parametrize(
    ("data", "offset"),
    [
        (b">a\nAC-DE\n", 5),
        (b">a\nAC1\n", 5),
        (b">a\nAC\x80\n", 5),
        (b">a\nAC\0\n", 5),
        (b">a\nAC\v\n", 5),
        (b">a\nACD\n>\nACD\n", 7),
        (b">a\nACD\n> \t\nACD\n", 7),
        (b">", 0),
        (b"ACD\n", 0),
        (b" >a\nACD\n", 0),
        (b"\r>a\nACD\n", 0),
        (b"\n\n", 0),
    ],
)
def test_what_hmmer_refuses_is_not_understood(tmp_path, data, offset):
    path = tmp_path / "targets.fasta"
    path.write_bytes(data)
    query = prepared(random_scores(np.random.default_rng(1), 20), KEEP_ALL, ISAS[0])
    found = scan(path, [query])
    assert (found.state, found.offset) == (kernel.SpanState.NOT_FASTA, offset)


def test_a_file_that_is_shorter_than_its_size(tmp_path):
    path = tmp_path / "targets.fasta"
    path.write_bytes(b">a\nACD\n")
    query = prepared(random_scores(np.random.default_rng(1), 20), KEEP_ALL, ISAS[0])
    with path.open("rb") as file:
        found = kernel.scan_span(file.fileno(), range(100), 100, [query])
    assert (found.state, found.offset) == (kernel.SpanState.TRUNCATED, 7)


def test_a_descriptor_that_cannot_be_read(tmp_path):
    query = prepared(random_scores(np.random.default_rng(1), 20), KEEP_ALL, ISAS[0])
    path = tmp_path / "written.fasta"
    with path.open("wb") as file:
        found = kernel.scan_span(file.fileno(), range(100), 100, [query])
    assert found.state is kernel.SpanState.UNREADABLE
    assert os.strerror(found.error) == "Bad file descriptor"


def test_a_record_beyond_all_bounds_is_left_alone(tmp_path):
    path = tmp_path / "targets.fasta"
    with path.open("wb") as file:
        file.write(b">a\nACD\n>b\n" + b"A" * (_kernel.MOST_RECORD_BYTES + (1 << 20)))
    query = prepared(random_scores(np.random.default_rng(1), 20), KEEP_ALL, ISAS[0])
    found = scan(path, [query])
    assert (found.state, found.offset) == (kernel.SpanState.TOO_LONG, 7)


@pytest.mark.parametrize(
    "arguments",
    [
        (bytes(CODES * 3), 3, bytes(5), ISAS[0]),
        (bytes(5), 3, KEEP_ALL, ISAS[0]),
        (b"", 0, KEEP_ALL, ISAS[0]),
        (bytes(CODES * 3), 3, KEEP_ALL, "mmx"),
    ],
)
def test_a_query_that_cannot_be_is_refused(arguments):
    with pytest.raises(ValueError, match=r"thresholds|scores|positions|instruction set"):
        _kernel.prepare(*arguments)


def test_the_fastest_instruction_set_is_taken_unless_one_is_forced():
    assert kernel.instruction_set({kernel.ISA_VARIABLE: "plain"}) == "plain"
    forced = kernel.instruction_set({kernel.ISA_VARIABLE: "mmx"})
    assert isinstance(forced, Aside)
    assert "mmx" in forced.reason
    if ISAS[0] == "plain":
        assert isinstance(kernel.instruction_set({}), Aside)
    else:
        assert kernel.instruction_set({}) == ISAS[0]


def test_without_the_compiled_part_the_search_steps_aside():
    program = """
import sys
sys.modules["af3opt.search._kernel"] = None  # It cannot be imported.
from af3opt.search import kernel
print(kernel.instruction_set({}).reason, kernel.vector_sets())
"""
    shown = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert "(no C compiler?) ()" in shown.stdout
