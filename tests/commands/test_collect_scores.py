"""`af3opt collect` with the scores of interfaces."""

import csv
import io

import pytest

from af3opt import cli
from af3opt.base.errors import ExitCode
from tests.scores.batches import write_job
from tests.scores.models import heterodimer, protein_dna


@pytest.fixture
def batch(tmp_path):
    root = tmp_path / "out"
    write_job(root, "binder_1", heterodimer(), (0.3, 0.9), recorded=True)
    write_job(root, "binder_2", heterodimer(), (0.6, 0.5), recorded=True)
    write_job(root, "dna", protein_dna(), (0.9, 0.4))
    return root


def collect(capfd, *arguments):
    capfd.readouterr()
    code = cli.main(["collect", *map(str, arguments)])
    printed = capfd.readouterr()
    return code, printed.out, printed.err


def rows(text):
    return list(csv.DictReader(io.StringIO(text)))


def test_best_gives_one_row_a_job(batch, capfd):
    code, text, error = collect(capfd, batch, "--best")
    assert code == ExitCode.OK
    assert [(row["job"], row["sample"]) for row in rows(text)] == [
        ("binder_1", "1"), ("binder_2", "0"), ("dna", "0"),
    ]  # fmt: skip
    assert error == ""


def test_one_job_can_be_collected_alone(batch, capfd, monkeypatch):
    _, text, _ = collect(capfd, batch / "binder_1")
    expected = [("binder_1", "0"), ("binder_1", "1")]
    assert [(row["directory"], row["sample"]) for row in rows(text)] == expected
    monkeypatch.chdir(batch / "binder_1")
    assert collect(capfd, ".")[1] == text


def test_sorting_puts_the_best_first(batch, capfd):
    _, text, _ = collect(capfd, batch, "--best", "--sort_by=ipsae_max")
    values = [float(row["ipsae_max"]) for row in rows(text)]
    assert values == sorted(values, reverse=True)
    _, text, _ = collect(capfd, batch, "--best", "--sort_by=ipsae_max", "--reverse")
    assert [float(row["ipsae_max"]) for row in rows(text)] == values[::-1]


def test_what_is_not_recorded_is_computed_for_the_best_and_said_of_the_others(batch, capfd):
    _, text, error = collect(capfd, batch)
    unknown = [(row["job"], row["sample"]) for row in rows(text) if not row["interface"]]
    assert unknown == [("dna", "1")]
    assert "Samples without scores of interfaces: 1; --all_samples" in error
    _, text, error = collect(capfd, batch, "--all_samples")
    assert all(row["interface"] for row in rows(text))
    assert error == ""


def test_best_by_another_column_scores_all_samples(batch, capfd):
    _, text, error = collect(capfd, batch, "--best=pair_pae_min")
    assert [(row["job"], row["sample"]) for row in rows(text)] == [
        ("binder_1", "1"), ("binder_2", "0"), ("dna", "0"),
    ]  # fmt: skip
    assert error == ""


def test_chosen_and_all_interfaces(batch, capfd):
    _, text, _ = collect(capfd, batch, "--best", "--interface=D:A")
    assert [row["interface"] for row in rows(text)] == ["", "", "A:D"]
    _, text, _ = collect(capfd, batch, "--best", "--all_interfaces")
    assert len(rows(text)) == 12


def test_table_for_people_is_short_and_rounded(batch, capfd):
    _, text, _ = collect(capfd, batch, "--best", "--format=table", "--sort_by=job")
    lines = text.splitlines()
    assert len(lines) == 4
    assert max(map(len, lines)) <= 140
    header, first = lines[0].split(), lines[1].split()
    values = dict(zip(header, first, strict=True))
    assert values["job"] == "binder_1"
    assert values["ranking_score"] == "0.900"
    assert values["iptm"] == "-"
    assert len(values["ipsae_min"].partition(".")[2]) == 3
    assert "." not in values["buried_area"]


def test_table_shows_no_control_characters(tmp_path, capfd):
    write_job(tmp_path / "out", "a\x1b[31mb", heterodimer(), (0.9,))
    _, text, _ = collect(capfd, tmp_path / "out", "--format=table")
    assert "\x1b" not in text
    assert "\\x1b[31mb" in text


def test_csv_cells_run_no_formula(tmp_path, capfd):
    write_job(tmp_path / "out", "=1+1", heterodimer(), (0.9,))
    _, text, _ = collect(capfd, tmp_path / "out", "--format=csv")
    assert rows(text)[0]["job"] == "'=1+1"


def test_samples_that_cannot_be_scored_are_named(batch, capfd):
    for path in batch.glob("dna/*/*model.cif"):
        path.write_text("nothing")
    code, text, error = collect(capfd, batch, "--all_samples")
    assert code == ExitCode.OK
    assert error.count("no interface scores: ") == 2
    assert "dna, seed 1, sample 0: no interface scores: dna_seed-1_sample-0_model.cif" in error
    assert [row["interface"] for row in rows(text)][-2:] == ["", ""]


def test_files_have_all_columns(batch, tmp_path, capfd):
    parquet = pytest.importorskip("pyarrow.parquet")
    for suffix in ("csv", "parquet"):
        assert collect(capfd, batch, "--best", f"--output={tmp_path / 'x'}.{suffix}")[1] == ""
    table = parquet.read_table(tmp_path / "x.parquet")
    with (tmp_path / "x.csv").open() as stream:
        read = list(csv.DictReader(stream))
    assert table.column_names == list(read[0])
    assert str(table.schema.field("contacts").type) == "int64"
    assert table.column("ipsae_ab").to_pylist() == [float(row["ipsae_ab"]) for row in read]


@pytest.mark.parametrize(
    ("flag", "message"),
    [("--sort_by=iptmm", "no such column; there are job, "),
     ("--best=x", "--best=x: no such column"), ("--interface=A", "give two chains, as in A:B"),
     ("--interface=A:A", "give two chains"),
     ("--output=x.txt", "must end in .csv or .parquet")],
)  # fmt: skip
def test_mistakes_are_one_line_before_anything_is_read(batch, capfd, flag, message):
    code, text, error = collect(capfd, batch, flag)
    assert code == ExitCode.USAGE
    assert text == ""
    assert message in error
    assert len(error.splitlines()) == 1
