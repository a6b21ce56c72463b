"""A pass over a file: order, counts, several queries, faults and bounds."""

import io
import itertools
import os
import threading

import numpy as np
import pytest

from af3opt.search import _kernel, scan
from af3opt.search.aside import Aside
from af3opt.search.kernel import SpanScan, SpanState, Survivors
from af3opt.search.scan import Scan, scan_file
from af3opt.search.targets import DatabaseError, TargetFile
from af3opt.search.thresholds import LONGEST_TARGET
from tests.search.reference import (
    LETTERS,
    prepared,
    random_scores,
    segment_score,
    write_fasta,
)

ISA = _kernel.instruction_sets()[0]
# So that a small file has many.
SMALL_SPANS = (1000, 1 << 24)


def query(seed, least):
    scores = random_scores(np.random.default_rng(seed), 40)
    return prepared(scores, np.full(LONGEST_TARGET + 1, least, np.uint8), ISA), scores


def scanned(path, queries, threads=2, report=lambda _: None, span_bytes=SMALL_SPANS):
    sinks = [io.BytesIO() for _ in queries]
    with TargetFile(path) as file:
        found = scan_file(file, queries, sinks, threads, report, span_bytes)
    return found, [sink.getvalue() for sink in sinks]


@pytest.fixture(scope="module")
def sequences():
    generator = np.random.default_rng(11)
    lengths = generator.integers(1, 400, 300)
    return ["".join(generator.choice(list(LETTERS), length)) for length in lengths]


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_each_query_gets_its_survivors_in_the_files_order(tmp_path, sequences, threads):
    path = write_fasta(tmp_path / "targets.fasta", sequences)
    records = [b">" + part for part in path.read_bytes().split(b">")[1:]]
    chosen = [query(1, 30), query(2, 45), query(3, 0)]
    found, kept = scanned(path, [prepared for prepared, _ in chosen], threads)
    assert isinstance(found, Scan)
    assert found.targets == len(sequences)
    assert found.residues == sum(map(len, sequences))
    for (_, scores), least, number, got in zip(
        chosen, (30, 45, 0), found.survivors, kept, strict=True
    ):
        keep = [segment_score(scores, one) >= least for one in sequences]
        assert got == b"".join(itertools.compress(records, keep))
        assert number == sum(keep)
    assert 0 < found.survivors[1] < found.survivors[0] < found.survivors[2]


def test_progress_covers_the_file(tmp_path, sequences):
    path = write_fasta(tmp_path / "targets.fasta", sequences)
    seen = []
    scanned(path, [query(1, 0)[0]], report=seen.append)
    assert [one.bytes_done for one in seen] == sorted({one.bytes_done for one in seen})
    assert (seen[-1].bytes_done, seen[-1].targets) == (seen[-1].bytes_total, len(sequences))
    assert len(seen) > 10


@pytest.mark.parametrize("data", [b"", b"ACD\n", b">a\nAC-D\n", b">a\nACD\n>\nACD\n"])
def test_what_hmmer_would_refuse_is_left_to_it(tmp_path, data):
    path = tmp_path / "targets.fasta"
    path.write_bytes(data)
    found, _ = scanned(path, [query(1, 0)[0]])
    assert isinstance(found, Aside)
    assert str(path) in found.reason


def test_a_file_that_is_cut_during_the_pass(tmp_path, sequences):
    path = write_fasta(tmp_path / "targets.fasta", sequences)

    def cut(progress):
        os.truncate(path, progress.bytes_done)

    with pytest.raises(DatabaseError, match=r"was cut|changed") as caught:
        scanned(path, [query(1, 0)[0]], threads=1, report=cut)
    assert "\n" not in str(caught.value)


def test_a_file_that_changes_during_the_pass(tmp_path, sequences):
    path = write_fasta(tmp_path / "targets.fasta", sequences)

    def change(_):
        os.utime(path, ns=(1, 1))

    with pytest.raises(DatabaseError, match="changed while it was searched"):
        scanned(path, [query(1, 0)[0]], report=change)


def test_an_unreadable_file(tmp_path, monkeypatch):
    path = write_fasta(tmp_path / "targets.fasta", ["ACD"])
    broken = SpanScan(
        state=SpanState.UNREADABLE, error=5, offset=0, targets=0, residues=0, survivors=()
    )
    monkeypatch.setattr(scan, "scan_span", lambda *_: broken)
    with pytest.raises(DatabaseError, match="Input/output error"):
        scanned(path, [query(1, 0)[0]])


def test_an_error_ends_all_threads(tmp_path, sequences):
    path = write_fasta(tmp_path / "targets.fasta", sequences)

    def fail(_):
        raise KeyboardInterrupt

    before = threading.active_count()
    with pytest.raises(KeyboardInterrupt):
        scanned(path, [query(1, 0)[0]], threads=4, report=fail)
    assert threading.active_count() == before


def test_threads_wait_when_they_are_far_ahead(tmp_path, monkeypatch):
    """What was found and not yet handed on stays bounded, however slow the first span is."""
    path = tmp_path / "targets.fasta"
    path.write_bytes(b">a\nACD\n" * 100_000)
    others_done = threading.Event()
    done = []
    allowed = 2 * (1 + scan._AHEAD)

    def scan_span(_descriptor, span, _size, _queries):
        if span.start == 0:
            assert others_done.wait(60)
        else:
            done.append(span.start)
            if len(done) == allowed - 1:
                others_done.set()
        return SpanScan(
            state=SpanState.DONE,
            error=0,
            offset=0,
            targets=1,
            residues=1,
            survivors=(Survivors(0, b""),),
        )

    seen_at_first_report = []

    def report(progress):
        if progress.bytes_done == 1000:
            seen_at_first_report.append(len(done))

    monkeypatch.setattr(scan, "scan_span", scan_span)
    found, _ = scanned(path, [query(1, 0)[0]], threads=2, report=report, span_bytes=(1000, 1000))
    assert isinstance(found, Scan)
    # The first span's own permit is back only after its report.
    assert seen_at_first_report == [allowed - 1]
