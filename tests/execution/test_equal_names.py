"""Jobs of one name: each has a directory of its own, and later stages find each its own."""

import json
from pathlib import Path

import pytest

from af3opt import cli
from af3opt.base.errors import ExitCode
from tests.execution.conftest import write_input
from tests.execution.test_batch import fake_search

pytestmark = pytest.mark.engine

LETTERS = "ARNDCQEGHILKMFPSTWYV"
NAMES = [
    "ALA",
    "ARG",
    "ASN",
    "ASP",
    "CYS",
    "GLN",
    "GLU",
    "GLY",
    "HIS",
    "ILE",
    "LEU",
    "LYS",
    "MET",
    "PHE",
    "PRO",
    "SER",
    "THR",
    "TRP",
    "TYR",
    "VAL",
]
CODES = dict(zip(NAMES, "ARNDCQEGHILKMFPSTWYV", strict=True))
SEARCHES = ("--norun_inference", "--run_data_pipeline")


def sequences(number):
    """Different sequences of five residues."""
    return ["MA" + LETTERS[k // 400 % 20] + LETTERS[k // 20 % 20] + LETTERS[k % 20]
            for k in range(number)]  # fmt: skip


def write_jobs(directory, number, seeds=(1,)):
    """Files of different names whose jobs are all called `tiny`."""
    for position, sequence in enumerate(sequences(number)):
        path = write_input(directory, "tiny", seeds, sequence)
        path.rename(directory / f"file{position:03}.json")
    return directory


def written(output):
    """Sequence -> directory of every job that has its data and its ranking."""
    found = {}
    for path in output.glob("tiny*/tiny_data.json"):
        sequence = json.loads(path.read_text())["sequences"][0]["protein"]["sequence"]
        assert sequence not in found, "two directories for one job"
        if (path.parent / "tiny_ranking_scores.csv").is_file():
            assert sequence_of_model(path.parent / "tiny_model.cif") == sequence
        found[sequence] = path.parent
    return found


def sequence_of_model(path):
    """The one-letter sequence of a structure, from its alpha carbons."""
    lines = [line.split() for line in path.read_text().splitlines() if line.startswith("ATOM")]
    return "".join(CODES[words[5]] for words in lines if words[3] == "CA")


def test_a_second_stage_finds_each_its_own(runs, tmp_path):
    inputs, output = write_jobs(tmp_path / "in", 8), tmp_path / "out"
    assert runs.run(inputs, output, *SEARCHES, before=fake_search) == ExitCode.OK
    assert sorted(written(output)) == sorted(sequences(8))
    assert runs.run(inputs, output) == ExitCode.OK
    assert sorted(written(output)) == sorted(sequences(8))
    assert len(runs.steps()) == 8
    assert len(list(output.glob("tiny*/tiny_ranking_scores.csv"))) == 8
    assert runs.run(inputs, output) == ExitCode.OK
    assert "8 already_done" in runs.output
    assert len(runs.steps()) == 8


def test_jobs_that_differ_in_their_seeds_keep_them(runs, tmp_path):
    inputs, output = tmp_path / "in", tmp_path / "out"
    for seed in (1, 2, 3):
        write_input(inputs, "tiny", [seed]).rename(inputs / f"file{seed}.json")
    assert runs.run(inputs, output, *SEARCHES, before=fake_search) == ExitCode.OK
    data = [json.loads(path.read_text()) for path in output.glob("tiny*/tiny_data.json")]
    assert sorted(content["modelSeeds"] for content in data) == [[1], [2], [3]]
    assert runs.run(inputs, output) == ExitCode.OK
    assert sorted(path.name for path in output.glob("tiny*/seed-*")) == [
        f"seed-{seed}_sample-0" for seed in (1, 2, 3)
    ]
    assert len([path for path in output.glob("tiny*") if path.is_dir()]) == 3


@pytest.mark.parametrize("stages", [[()], [SEARCHES, ()]])
def test_jobs_that_share_their_first_seed_keep_the_others(runs, tmp_path, capfd, stages):
    inputs, output = tmp_path / "in", tmp_path / "out"

    def write(number, seeds):
        write_input(inputs, "tiny", seeds).rename(inputs / f"file{number}.json")

    def ranked():
        tables = [path.read_text().splitlines()[1:] for path in output.glob("tiny*/*_scores.csv")]
        return sorted(tuple(int(line.split(",")[0]) for line in table) for table in tables)

    write(1, [1, 2])
    write(2, [1, 3])
    for flags in stages:
        before = fake_search if flags else None
        assert runs.run(inputs, output, *flags, before=before) == ExitCode.OK
        found = map(json.loads, map(Path.read_text, output.glob("tiny*/tiny_data.json")))
        assert sorted(content["modelSeeds"] for content in found) == [[1, 2], [1, 3]]
    assert ranked() == [(1, 2), (1, 3)]
    for _ in range(2):
        assert runs.run(inputs, output) == ExitCode.OK
        assert "2 already_done" in runs.output
    assert len(runs.steps()) == 4
    write(2, [1, 3, 4])
    assert runs.run(inputs, output) == ExitCode.OK
    assert ranked() == [(1, 2), (1, 3, 4)]
    assert len(runs.steps()) == 5
    capfd.readouterr()
    assert cli.main(["status", str(output), "--json"]) == ExitCode.OK
    jobs = json.loads(capfd.readouterr().out)["jobs"]
    assert sorted((job["state"], job["seeds_done"]) for job in jobs) == [("done", 2), ("done", 3)]


def test_a_seed_that_is_added_is_no_other_job(runs, tmp_path):
    inputs, output = tmp_path / "in", tmp_path / "out"
    write_input(inputs, "tiny", [1])
    assert runs.run(inputs, output) == ExitCode.OK
    write_input(inputs, "tiny", [1, 2])
    assert runs.run(inputs, output) == ExitCode.OK
    assert [path.name for path in output.glob("tiny*")] == ["tiny"]


def test_one_that_failed_keeps_its_directory_from_the_others(runs, tmp_path):
    """It comes back for it: what it had begun with must not have become another's."""

    def failing_search():
        from af3opt.execution.batch import seed_source

        real = seed_source.search_job

        def search_job(tools, loaded, report):
            if loaded.source.name == "file000.json":
                raise OSError("no search today")
            return real(tools, loaded, report)

        seed_source.search_job = search_job

    inputs, output = write_jobs(tmp_path / "in", 3), tmp_path / "out"
    assert runs.run(inputs, output, before=failing_search) == ExitCode.SOME_FAILED
    assert sorted(written(output)) == sorted(sequences(3)[1:])
    assert runs.run(inputs, output) == ExitCode.OK
    assert sorted(written(output)) == sorted(sequences(3))
    assert written(output)[sequences(3)[0]].name == "tiny"


def test_they_are_not_forced_into_one_directory(runs, tmp_path):
    inputs, output = write_jobs(tmp_path / "in", 2), tmp_path / "out"
    assert runs.run(inputs, output, "--force_output_dir") == ExitCode.USAGE
    assert "--force_output_dir: 2 jobs are named tiny" in runs.output
    assert not output.exists()


@pytest.mark.slow
@pytest.mark.parametrize("flags", [(), ("--noresume", *SEARCHES)])
def test_a_hundred_in_four_processes_lose_none(runs, tmp_path, flags):
    inputs, output = write_jobs(tmp_path / "in", 100), tmp_path / "out"
    # Without claims each process has to be given its share.
    shares = [(f"--shard={number}/4",) if flags else () for number in range(4)]
    before = fake_search if flags else None
    processes = [runs.start(inputs, output, *flags, *share, before=before) for share in shares]
    codes = {runs.end(process) for process in processes}
    assert codes <= {ExitCode.OK, ExitCode.REQUEUE}
    assert sorted(written(output)) == sorted(sequences(100))
    assert len([path for path in output.glob("tiny*") if path.is_dir()]) == 100
    if not flags:
        assert len(runs.steps()) == 100
        assert runs.run(inputs, output) == ExitCode.OK
        assert "100 already_done" in runs.output
