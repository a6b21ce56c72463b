import json

import pytest

from af3opt.scores import collecting
from af3opt.scores.collecting import collect_samples, score_missing
from af3opt.scores.columns import COLUMNS, best_rows, rows_of, sorted_rows
from af3opt.scores.interface import FORMULAS, Interface, main_interface
from tests.scores.batches import write_job
from tests.scores.models import heterodimer, protein_dna


def test_recorded_scores_are_taken_and_equal_computed_ones(tmp_path, monkeypatch):
    write_job(tmp_path / "a", "x", heterodimer(), (0.5, 0.9), recorded=True)
    write_job(tmp_path / "b", "x", heterodimer(), (0.5, 0.9))
    computed = collect_samples(tmp_path / "b").samples
    assert not any(sample.interfaces for sample in computed)
    score_missing(computed, 1)
    # From here on nothing may be computed.
    monkeypatch.setattr(collecting, "sample_scores", None)
    recorded = collect_samples(tmp_path / "a").samples
    score_missing(recorded, 1)
    assert list(rows_of(recorded)) == list(rows_of(computed))
    assert [row["best"] for row in rows_of(recorded)] == [False, True]


def test_scores_by_other_formulas_are_computed_again(tmp_path):
    write_job(tmp_path, "x", heterodimer(), (0.9,), recorded=True, formulas=FORMULAS + 1)
    (sample,) = collect_samples(tmp_path).samples
    assert sample.interfaces is None
    score_missing([sample], 1)
    assert sample.interfaces.formulas == FORMULAS


@pytest.mark.parametrize(
    "record", ["{", "[]", '{"seeds": 3}', '{"seeds": [{"seed": "x"}]}',
               '{"seeds": [{"seed": 1, "samples": [{"index": 0, "interface_scores": {}}]}]}']
)  # fmt: skip
def test_a_damaged_record_is_as_good_as_none(tmp_path, record):
    directory = write_job(tmp_path, "x", heterodimer(), (0.9,))
    (directory / "x_af3opt.json").write_text(record)
    (sample,) = collect_samples(tmp_path).samples
    assert sample.interfaces is None
    assert sample.ranking_score == 0.9


def test_several_processes_give_what_one_gives(tmp_path):
    for name in ("x", "y"):
        write_job(tmp_path, name, heterodimer(), (0.5, 0.7, 0.9))
    (tmp_path / "y" / "seed-1_sample-1" / "y_seed-1_sample-1_model.cif").write_text("nothing")
    alone = collect_samples(tmp_path).samples
    # Enough to be worth processes.
    together = [sample for _ in range(8) for sample in collect_samples(tmp_path).samples]
    score_missing(alone, 1)
    score_missing(together, 2)
    assert list(rows_of(together)) == 8 * list(rows_of(alone))
    assert [sample.problem for sample in together] == 8 * [sample.problem for sample in alone]
    assert [bool(sample.problem) for sample in alone] == [False, False, False, False, True, False]


def test_large_files_are_scored_one_at_a_time(tmp_path, monkeypatch):
    write_job(tmp_path, "x", heterodimer(), (0.5, 0.9))
    for sample in collect_samples(tmp_path).samples:
        with sample.files.confidences.open("a") as file:
            file.write(" " * (33 << 20))
    # Enough to be worth processes, were they small.
    samples = [sample for _ in range(20) for sample in collect_samples(tmp_path).samples]
    monkeypatch.setattr(collecting.concurrent.futures, "ProcessPoolExecutor", None)
    score_missing(samples, 8)
    assert all(sample.interfaces for sample in samples)


def test_samples_without_a_ranking_table_have_their_own_score(tmp_path):
    directory = write_job(tmp_path, "x", heterodimer(), (0.5, 0.9))
    (directory / "x_ranking_scores.csv").unlink()
    samples = collect_samples(tmp_path).samples
    assert [(sample.ranking_score, sample.best) for sample in samples] == [
        (0.5, False),
        (0.9, True),
    ]


def test_samples_set_apart_and_those_without_files(tmp_path):
    directory = write_job(tmp_path, "x", heterodimer(), (0.5, 0.9))
    (directory / "seed-1_sample-1").rename(directory / "seed-1_sample-1_nonfinite")
    (directory / "x_ranking_scores.csv").write_text("seed,sample,ranking_score\n1,0,0.5\n2,3,0.4\n")
    samples = collect_samples(tmp_path).samples
    assert [(sample.seed, sample.sample) for sample in samples] == [(1, 0), (2, 3)]
    score_missing(samples, 1)
    rows = list(rows_of(samples))
    assert rows[0]["interface"] == "A:B"
    assert rows[1]["interface"] is None
    assert samples[1].problem == ""


@pytest.fixture
def mixed(tmp_path):
    write_job(tmp_path, "dna", protein_dna(), (0.9, 0.5), recorded=True)
    write_job(tmp_path, "pair", heterodimer(), (0.8, 0.6), recorded=True)
    return collect_samples(tmp_path).samples


def test_rows_have_all_columns_with_values_of_their_kind(mixed):
    for row in rows_of(mixed, every_interface=True):
        assert list(row) == list(COLUMNS)
        for name, value in row.items():
            assert value is None or type(value) is COLUMNS[name].kind


def test_a_row_for_each_interface(mixed):
    rows = list(rows_of(mixed, every_interface=True))
    assert len(rows) == 2 * 10 + 2
    assert len({(row["job"], row["sample"], row["interface"]) for row in rows}) == len(rows)


def test_one_interface_in_either_order(mixed):
    found = [row["interface"] for row in rows_of(mixed, interface="D:A")]
    assert found == ["A:D", "A:D", None, None]
    assert all(row["contacts"] is None for row in rows_of(mixed, interface="A:Z"))


def test_directions_are_told_apart(mixed):
    for row in rows_of(mixed, interface="A:B"):
        pair = sorted((row["ipsae_ab"], row["ipsae_ba"]))
        assert [row["ipsae_min"], row["ipsae_max"]] == pair


def interface(chains, **scores):
    return Interface(chains=tuple(chains), kinds=("protein", "protein"), **scores)


def test_main_interface_goes_by_the_weaker_direction_then_iptm_then_contacts():
    strong = interface("AB", ipsae_ab=0.9, ipsae_ba=0.1, pair_iptm=0.9)
    even = interface("AC", ipsae_ab=0.3, ipsae_ba=0.2, pair_iptm=0.1)
    ligand = interface("AD", pair_iptm=0.95, contacts=3)
    other = interface("AE", pair_iptm=0.95, contacts=9)
    assert main_interface((strong, even, ligand)) is even
    assert main_interface((ligand, other)) is other
    assert main_interface(()) is None


def test_sorting_puts_good_values_first_and_missing_ones_last(mixed):
    rows = list(rows_of(mixed))
    by_score = sorted_rows(rows, "ranking_score")
    assert [row["ranking_score"] for row in by_score] == [0.9, 0.8, 0.6, 0.5]
    by_error = [row["pair_pae_min"] for row in sorted_rows(rows, "pair_pae_min")]
    assert by_error == sorted(by_error)
    by_dock = [row["pdockq"] for row in sorted_rows(rows, "pdockq")]
    assert by_dock[2:] == [None, None]
    worst = [row["pdockq"] for row in sorted_rows(rows, "pdockq", reverse=True)]
    assert worst == [*by_dock[1::-1], None, None]


def test_best_rows_are_one_a_job_or_one_an_interface(mixed):
    rows = list(rows_of(mixed, every_interface=True))
    best = best_rows(rows, "pair_iptm")
    assert [row["job"] for row in best] == ["dna", "pair"]
    each = best_rows(rows, "pair_iptm", by_interface=True)
    assert len(each) == 11
    assert {row["sample"] for row in each if row["ipsae_min"]} == {0}


def test_record_rounds_what_it_keeps(tmp_path):
    directory = write_job(tmp_path, "x", heterodimer(), (0.9,), recorded=True)
    record = json.loads((directory / "x_af3opt.json").read_text())
    (entry,) = record["seeds"][0]["samples"][0]["interface_scores"]["interfaces"]
    assert entry["chains"] == ["A", "B"]
    assert entry["ipsae_ab"] == round(entry["ipsae_ab"], 4)
    assert entry["buried_area"] == round(entry["buried_area"], 1)
    assert isinstance(entry["contacts"], int)
