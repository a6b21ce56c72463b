"""Files that were changed, damaged or never ours: one job's matter, and never a wrong result."""

import json
import os
import re

import pytest

from af3opt.base.errors import ExitCode
from tests.execution.conftest import RESIDUES, write_input
from tests.execution.test_batch import fake_search

pytestmark = pytest.mark.engine

OTHER = RESIDUES.replace("Q", "W")


def sequence(path):
    return json.loads(path.read_text())["sequences"][0]["protein"]["sequence"]


def change_a_letter(path):
    """Same size, another molecule."""
    times = path.stat()
    path.write_text(path.read_text().replace(RESIDUES, OTHER))
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert sequence(path) == OTHER


def test_a_changed_input_with_alignments_is_made_again(runs, tmp_path):
    path, output = write_input(tmp_path / "in", "job", [1]), tmp_path / "out"
    data = output / "job" / "job_data.json"
    assert runs.run(path, output) == ExitCode.OK
    change_a_letter(data)
    write_input(tmp_path / "in", "job", [1, 2])
    assert runs.run(path, output) == ExitCode.OK
    assert "job_data.json is not what af3opt wrote there" in runs.output
    assert sequence(data) == RESIDUES
    assert json.loads(data.read_text())["modelSeeds"] == [1, 2]
    assert [seed for _, _, seed in runs.steps()] == [1, 2]
    assert [path.name for path in output.glob("job*") if path.is_dir()] == ["job"]


@pytest.mark.parametrize("change", ["letter", "seed", "junk"])
def test_a_changed_search_result_is_not_folded(runs, tmp_path, change):
    path = write_input(tmp_path / "in", "job", [1])
    content = json.loads(path.read_text())
    content["sequences"] = [{"protein": {"id": "A", "sequence": RESIDUES}}]
    path.write_text(json.dumps(content))
    output, data = tmp_path / "out", tmp_path / "out" / "job" / "job_data.json"
    searching = ("--norun_inference", "--run_data_pipeline")
    assert runs.run(path, output, *searching, before=fake_search) == ExitCode.OK
    if change == "letter":
        change_a_letter(data)
    elif change == "junk":
        data.write_bytes(os.urandom(data.stat().st_size))
    else:
        edited = json.loads(data.read_text())
        data.write_text(json.dumps({**edited, "modelSeeds": [1, 2]}))
    code = runs.run(path, output)
    if change == "seed":  # The molecule is the same; the seeds are those of the input.
        assert code == ExitCode.OK
        assert [seed for _, _, seed in runs.steps()] == [1]
        return
    assert code == ExitCode.USAGE
    assert "job_data.json is not what af3opt wrote there" in runs.output
    assert runs.steps() == []
    assert runs.run(path, output, "--run_data_pipeline", before=fake_search) == ExitCode.OK
    assert sequence(data) == RESIDUES
    assert len(runs.steps()) == 1


def remove(path):
    path.unlink()


def cut(path):
    os.truncate(path, path.stat().st_size - 1)


def fold_as_if_changed(path):
    """Same size, another score."""
    path.write_text(path.read_text().replace("0.", "1."))


@pytest.mark.parametrize(
    ("name", "spoil"),
    [
        ("job_model.cif", remove),
        ("job_confidences.json", cut),
        ("job_ranking_scores.csv", fold_as_if_changed),
        ("seed-1_sample-0/job_seed-1_sample-0_model.cif", cut),
    ],
)
def test_a_finished_job_is_done_again_where_its_files_are_not_whole(runs, tmp_path, name, spoil):
    path, output = write_input(tmp_path / "in", "job", [1, 2]), tmp_path / "out"
    assert runs.run(path, output) == ExitCode.OK
    content = (output / "job" / name).read_bytes()
    steps = len(runs.steps())
    spoil(output / "job" / name)
    assert runs.run(path, output) == ExitCode.OK
    assert (output / "job" / name).stat().st_size == len(content)
    assert len(runs.steps()) == steps + name.startswith("seed")


def only(directories):
    (one,) = directories
    return one


def test_a_forced_directory_keeps_no_model_of_another_molecule(runs, tmp_path):
    path, output = write_input(tmp_path / "in", "job", [1, 2]), tmp_path / "out"
    assert runs.run(path, output) == ExitCode.OK
    model = (output / "job" / "job_model.cif").read_bytes()
    write_input(tmp_path / "in", "job", [1], OTHER)
    assert runs.run(path, output, "--force_output_dir") == ExitCode.OK
    assert "job held results of another input: they are in " in runs.output
    assert sequence(output / "job" / "job_data.json") == OTHER
    assert not (output / "job" / "seed-2_sample-0").exists()
    aside = only(output.glob("job_*"))
    assert (aside / "job_model.cif").read_bytes() == model
    assert sequence(aside / "job_data.json") == RESIDUES
    assert (aside / "seed-2_sample-0").is_dir()
    # The first is not taken for done, nor for what lies in its directory now.
    write_input(tmp_path / "in", "job", [1, 2])
    assert runs.run(path, output) == ExitCode.OK
    assert [seed for _, _, seed in runs.steps()] == [1, 2, 1, 1, 2]
    assert sequence(output / "job" / "job_data.json") == OTHER


def test_a_job_searched_again_keeps_no_model_of_another_molecule(runs, tmp_path):
    path, output = write_input(tmp_path / "in", "job", [1]), tmp_path / "out"
    assert runs.run(path, output) == ExitCode.OK
    for name in ("job_data.json", "job_af3opt.json"):
        file = output / "job" / name
        text = file.read_text().replace(RESIDUES, OTHER)
        file.write_text(re.sub(r'"digest": ?"\w+"', '"digest":"another"', text))
    write_input(tmp_path / "in", "job", [1, 2])
    assert runs.run(path, output) == ExitCode.OK
    assert "job held results of another input" in runs.output
    assert [seed for _, _, seed in runs.steps()] == [1, 1, 2]


def test_a_forced_directory_keeps_other_seeds_of_the_same_molecule(runs, tmp_path):
    path, output = write_input(tmp_path / "in", "job", [1]), tmp_path / "out"
    assert runs.run(path, output) == ExitCode.OK
    write_input(tmp_path / "in", "job", [2])
    assert runs.run(path, output, "--force_output_dir") == ExitCode.OK
    assert {path.name for path in (output / "job").glob("seed-*")} == {
        "seed-1_sample-0", "seed-2_sample-0",
    }  # fmt: skip


def test_results_without_a_journal_are_no_other_runs(runs, tmp_path):
    path, output = write_input(tmp_path / "in", "job", [1, 2]), tmp_path / "out"
    assert runs.run(path, output) == ExitCode.OK
    only((output / ".af3opt" / "jobs" / "job").glob("*/run.json")).unlink()
    write_input(tmp_path / "in", "job", [1])
    assert runs.run(path, output, "--num_recycles=1") == ExitCode.OK
    assert "Results there are of another run and stay as they are." in runs.output
    assert (output / "job" / "seed-2_sample-0").is_dir()
    assert not (only(output.glob("job_*")) / "seed-2_sample-0").exists()


JUNK = {
    "empty object": b"{}",
    "list": b"[]",
    "text": b'"x"',
    "cut": b"{",
    "bytes": bytes(range(256)),
    "deep": b"[" * 100_000,
    "deep object": b'{"a":' * 50_000,
    "infinite": b'{"seeds": [Infinity], "done": true, "size": 1e999}',
    "no seeds": b'{"seeds": [], "directory": "job0", "done": true, "size": 1, "resolved": "",'
    b' "identity": {}}',
    "above": b'{"directory": ".."}',
    "absolute": b'{"directory": "/tmp"}',
    "zero": b'{"directory": "job0\\u0000"}',
}


@pytest.mark.parametrize("junk", JUNK.values(), ids=JUNK)
def test_damaged_journals_cost_work_and_nothing_else(runs, inputs, tmp_path, junk):
    output = tmp_path / "all" / "out"
    assert runs.run(inputs, output) == ExitCode.OK
    for path in output.glob(".af3opt/jobs/job0/**/*.json"):
        path.write_bytes(junk)
    assert runs.run(inputs, output) == ExitCode.OK, runs.output
    assert "Traceback" not in runs.output
    assert len(runs.steps()) == 12 + 3
    assert [path.name for path in output.parent.iterdir()] == ["out"]
    assert runs.run(inputs, output) == ExitCode.OK
    assert len(runs.steps()) == 12 + 3


def test_a_journal_that_names_the_directory_above_is_not_believed(runs, inputs, tmp_path):
    output = tmp_path / "all" / "out"
    assert runs.run(inputs, output) == ExitCode.OK
    for path in output.glob(".af3opt/jobs/job0/**/*.json"):
        content = json.loads(path.read_text())
        if "directory" in content:
            path.write_text(json.dumps({**content, "directory": ".."}))
    assert runs.run(inputs, output) == ExitCode.OK, runs.output
    assert [path.name for path in output.parent.iterdir()] == ["out"]


def test_a_fifo_in_the_journal_holds_nothing_up(runs, inputs, tmp_path):
    output = tmp_path / "out"
    assert runs.run(inputs / "job0.json", output) == ExitCode.OK
    (record,) = output.glob(".af3opt/jobs/job0/*/seed-2.json")
    record.unlink()
    os.mkfifo(record)
    assert runs.run(inputs / "job0.json", output) == ExitCode.OK
    assert [seed for _, _, seed in runs.steps()] == [1, 2, 3, 2]


@pytest.mark.parametrize("junk", JUNK.values(), ids=JUNK)
def test_damaged_notes_of_failures_are_left_out(runs, inputs, tmp_path, junk):
    output = tmp_path / "out"
    notes = output / ".af3opt" / "failed"
    notes.mkdir(parents=True)
    (notes / "damaged.json").write_bytes(junk)
    (inputs / "bad.json").write_text("{}")
    assert runs.run(inputs, output) == ExitCode.SOME_FAILED, runs.output
    (failed,) = json.loads((output / "failed.json").read_text())
    assert failed["name"] == "bad"
