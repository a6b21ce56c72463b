"""`af3opt collect` with the scores of interfaces."""

import csv
import io
import shutil
import subprocess
from pathlib import Path

import pytest

from af3opt import cli
from af3opt.base.child_process import module_command
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


def table(capfd, directory):
    """What identifies the rows of a table, and what was said."""
    code, text, error = collect(capfd, directory)
    assert code == ExitCode.OK
    found = [
        (row["directory"], row["seed"], row["sample"], row["ranking_score"], row["best"])
        for row in rows(text)
    ]
    # Without the time in front.
    return found, [line.partition(" WARNING ")[2] for line in error.splitlines()]


def copy_top(job):
    """The copy of the best structure, as af3opt and upstream leave it."""
    (origin,) = job.glob("seed-1_sample-0/*_model.cif")
    return shutil.copy(origin, job / f"{job.name}_model.cif")


@pytest.mark.parametrize("stray", ["model.cif", "data.json", "summary_confidences.json.zst"])
def test_files_of_jobs_beside_the_jobs_do_not_make_them_one_job(batch, capfd, stray):
    expected = table(capfd, batch)
    for job in sorted(batch.iterdir()):
        shutil.copy(copy_top(job), batch / f"{job.name}_{stray}")
        shutil.copy(copy_top(job), batch / f"{batch.name}_{stray}")
    assert table(capfd, batch) == expected


def test_a_table_among_the_jobs_does_not_make_them_one_job(batch, capfd):
    expected = table(capfd, batch)
    for _ in range(2):
        assert collect(capfd, batch, f"--output={batch / 'ranking_scores.csv'}")[0] == ExitCode.OK
        assert table(capfd, batch) == expected


def test_everything_of_all_jobs_copied_beside_them_changes_nothing(batch, capfd):
    expected = table(capfd, batch)
    for job in sorted(batch.iterdir()):
        shutil.copytree(job, batch, dirs_exist_ok=True)
    assert table(capfd, batch) == expected


def test_a_job_with_an_earlier_result_put_aside_stays_one_job(batch, capfd):
    expected = table(capfd, batch / "dna")
    shutil.copytree(batch / "binder_1", batch / "dna" / "earlier")
    assert table(capfd, batch / "dna") == expected


def test_a_job_may_have_the_name_of_a_sample(batch, capfd):
    expected, _ = table(capfd, batch)
    write_job(batch, "seed-1_sample-0", heterodimer(), (0.3, 0.4), recorded=True)
    copy_top(batch / "seed-1_sample-0")
    found, _ = table(capfd, batch)
    assert found[:-2] == expected
    assert [row[:4] for row in found[-2:]] == [
        ("seed-1_sample-0", "1", "0", "0.3"),
        ("seed-1_sample-0", "1", "1", "0.4"),
    ]
    assert table(capfd, batch / "seed-1_sample-0")[0] == found[-2:]


def test_samples_that_the_ranking_does_not_list_are_left_out_and_counted(batch, capfd):
    expected, _ = table(capfd, batch)
    origin = batch / "binder_1" / "seed-1_sample-1"
    for seed in (2, 3):
        sample = shutil.copytree(origin, origin.with_name(f"seed-{seed}_sample-0"))
        for path in list(sample.iterdir()):
            path.rename(path.with_name(path.name.replace("seed-1_sample-1", sample.name)))
    found, error = table(capfd, batch)
    assert found == expected
    assert any(
        "ranking table of their job does not list are left out: 2 (" in line for line in error
    )


@pytest.mark.parametrize("content", ["", "seed,sam", "seed,sample,ranking_score\n1,0"])
def test_a_half_written_ranking_table_is_said(batch, capfd, content):
    (batch / "binder_1" / "binder_1_ranking_scores.csv").write_text(content)
    found, error = table(capfd, batch)
    assert len(found) == 6
    assert any("Ranking tables without a score that can be read" in line for line in error)


def test_samples_without_any_score_are_counted(batch, capfd):
    directory = batch / "binder_1"
    (directory / "binder_1_ranking_scores.csv").unlink()
    for path in directory.glob("seed-1_sample-1/*_summary_confidences.json"):
        path.write_text('{"ranking_score": 0.')
    found, error = table(capfd, batch)
    assert len(found) == 5
    assert any(
        "without a ranking score are left out: 1 (" in line and "seed-1_sample-1" in line
        for line in error
    )


def test_recorded_scores_of_other_files_are_not_shown(batch, capfd):
    _, before, _ = collect(capfd, batch, "--best")
    for path in (batch / "binder_1" / "seed-1_sample-0").iterdir():
        other = path.name.replace("sample-0", "sample-1")
        shutil.copy(path, batch / "binder_1" / "seed-1_sample-1" / other)
    _, after, _ = collect(capfd, batch, "--best")
    one, other = ({row["job"]: row["ipsae_min"] for row in rows(text)} for text in (before, after))
    assert one["binder_1"] != other["binder_1"]
    assert one["binder_2"] == other["binder_2"]
    (batch / "binder_1" / "binder_1_af3opt.json").unlink()
    assert collect(capfd, batch, "--best")[1] == after


def test_one_changed_atom_is_another_file(batch, capfd):
    _, before, _ = collect(capfd, batch, "--best", "--interface=A:B")
    (path,) = batch.glob("binder_1/seed-1_sample-1/*_model.cif")
    text = path.read_text()
    moved = text.replace("0", "9")
    assert len(moved) == len(text)
    path.write_text(moved)
    assert collect(capfd, batch, "--best", "--interface=A:B")[1] != before


def test_the_ranking_under_the_jobs_own_name_counts(batch, capfd):
    expected = table(capfd, batch)
    header = "seed,sample,ranking_score\n"
    (batch / "binder_1" / "ranking_scores.csv").write_text(f"{header}1,0,0.99\n7,0,0.98\n")
    (batch / "binder_1" / "a_ranking_scores.csv").write_text(f"{header}1,0,0.97\n")
    assert table(capfd, batch) == expected


def test_links_to_results_are_not_followed_and_said(batch, tmp_path, capfd):
    expected, _ = table(capfd, batch)
    elsewhere = shutil.move(batch / "dna", tmp_path / "dna")
    (batch / "dna").symlink_to(elsewhere)
    (batch / "latest").symlink_to(batch / "binder_2")
    (batch / "inputs").symlink_to(tmp_path)
    sample = batch / "binder_1" / "seed-1_sample-0"
    shutil.move(sample, tmp_path / "sample")
    sample.symlink_to(tmp_path / "sample")
    found, error = table(capfd, batch)
    assert found == [row for row in expected if row[0] != "dna"]
    assert any(f"are left out: 2 ({batch / 'dna'}, {sample})" in line for line in error)
    cli.main(["report", str(batch)])
    assert f"are left out: 1 ({batch / 'dna'})" in capfd.readouterr().err


def test_a_file_is_no_directory(batch, capfd):
    path = batch / "file"
    path.write_text("")
    code, _, error = collect(capfd, path)
    assert (code, error.count("\n")) == (ExitCode.USAGE, 1)
    assert f"{path}: is a file; give the output directory" in error
    assert "no such directory" in collect(capfd, batch / "none")[2]


@pytest.mark.parametrize("times", [0, 40])
def test_a_full_disk_is_said_in_one_line(batch, times):
    for number in range(times):
        shutil.copytree(batch / "binder_1", batch / f"x{number}")
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run(
            [*module_command("af3opt"), "collect", batch],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    (line,) = (one for one in ended.stderr.splitlines() if "error" in one)
    assert "standard output cannot be written: No space left on device" in line
    assert "Exception ignored" not in ended.stderr
    assert ended.returncode == ExitCode.FAILURE
