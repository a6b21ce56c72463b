"""The picture of an alignment: which rows count, in which order, and how large it may be."""

import json
import tracemalloc

import numpy as np
import pytest

from af3opt.report import write_report
from af3opt.report.alignments import STEPS, alignment_coverages, coverage
from af3opt.report.job import load_job
from tests.report.synthetic_job import SyntheticJob, build_alignment, write_job

QUERY = "MKLVAGDE"
A3M = """>query
MKLVAGDE
>far
AAAAA---
>near
MKLVAG
DA
>again, with an insertion
MKLVAGDaaA
>short
MKL
"""


def input_of(*chains):
    return {"sequences": [{"protein": chain} for chain in chains]}


def test_rows_are_sorted_by_identity_and_counted_at_each_position():
    seen = coverage(("A",), QUERY, [A3M])
    assert seen.rows == 3  # a row that only differs by its insertion is the same row
    assert seen.unfit == 1
    assert seen.identity.tolist() == [100, 88, 12]
    assert seen.covered.tolist() == [[STEPS] * 8, [STEPS] * 8, [STEPS] * 5 + [0] * 3]
    assert seen.depth.tolist() == [3] * 5 + [2] * 3


def test_both_alignments_of_a_chain_count_and_the_query_once():
    seen = coverage(("A",), QUERY, [A3M, f">query\n{QUERY}\n>paired\nMKLVAAAA\n"])
    assert seen.rows == 4
    assert seen.identity.tolist() == [100, 88, 62, 12]


def test_chains_of_one_sequence_share_a_picture():
    chain = {"sequence": QUERY, "unpairedMsa": A3M, "pairedMsa": ""}
    other = {"sequence": "MKLV", "unpairedMsa": ">query\nMKLV\n", "id": "D"}
    found = alignment_coverages(input_of({**chain, "id": ["A", "B"]}, {**chain, "id": "C"}, other))
    assert [(seen.chain_ids, seen.rows) for seen in found] == [(("A", "B", "C"), 3), (("D",), 1)]


@pytest.mark.parametrize(
    "chain",
    [
        {},
        {"sequence": QUERY},
        {"sequence": QUERY, "unpairedMsa": ""},
        {"sequence": 7, "unpairedMsa": A3M},
        {"sequence": QUERY, "unpairedMsa": [A3M]},
        {"sequence": "", "unpairedMsa": A3M},
    ],
)
def test_chains_without_a_usable_alignment_have_no_picture(chain):
    assert alignment_coverages(input_of({"id": "A", **chain})) == []


def test_letters_beyond_ascii_shift_no_column():
    seen = coverage(("A",), QUERY, [">x\nMKLV\ud800\U0001f600DE\n"])
    assert seen.identity.tolist() == [100, 75]
    assert seen.depth.tolist() == [2] * 8


def test_ten_thousand_rows_become_a_small_picture():
    sequence = "".join(np.random.default_rng(1).choice(list("ADEGKLRST"), 1500))
    text = build_alignment(sequence, 10_000)
    tracemalloc.start()
    seen = coverage(("A",), sequence, [text])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert seen.rows == 10_000
    assert seen.covered.shape == (256, 750)
    assert seen.identity[0] > seen.identity[128] > seen.identity[-1]
    assert int(seen.depth.max()) <= 10_000
    mean_share = seen.covered.mean() / STEPS
    assert mean_share == pytest.approx(seen.depth.mean() / seen.rows, abs=0.02)
    assert peak < 6 * len(text)


def test_many_chains_share_the_room_on_the_page():
    rng = np.random.default_rng(2)
    chains = []
    for index in range(40):
        sequence = "".join(rng.choice(list("ADEGKLRST"), 300))
        chains.append(
            {"id": f"C{index}", "sequence": sequence, "unpairedMsa": build_alignment(sequence, 300)}
        )
    found = alignment_coverages(input_of(*chains))
    assert len(found) == 40
    assert sum(seen.covered.size for seen in found) <= 1_500_000


def test_a_path_in_the_input_is_not_opened(tmp_path):
    directory = write_job(tmp_path / "out", SyntheticJob(residues=20))
    (tmp_path / "secret.a3m").write_text(A3M)
    data = directory / "demo_data.json"
    values = json.loads(data.read_text())
    for entry in values["sequences"]:
        if "protein" in entry:
            del entry["protein"]["unpairedMsa"]
            entry["protein"]["unpairedMsaPath"] = str(tmp_path / "secret.a3m")
            entry["protein"]["pairedMsaPath"] = "../secret.a3m"
    data.write_text(json.dumps(values))
    assert load_job(directory, 1).alignments == []
    assert write_report(directory).is_file()


def test_only_pages_of_jobs_look_at_alignments(tmp_path):
    directory = write_job(tmp_path, SyntheticJob(residues=20))
    assert [seen.chain_ids for seen in load_job(directory, 1).alignments] == [("A",), ("B",)]
    assert load_job(directory, 1, alignments=False).alignments == []
