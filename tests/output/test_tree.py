"""Upstream's output tree."""

import csv

import pytest

from af3opt.output.checked_files import CheckedFiles
from af3opt.output.tree import JobTree, SampleScore, write_ranking


def _write_sample(tree, seed, sample, text):
    directory = tree.sample_dir(seed, sample)
    directory.mkdir(parents=True)
    for suffix in ("model.cif", "confidences.json", "summary_confidences.json"):
        (directory / f"{tree.sample_name(seed, sample)}_{suffix}").write_text(text)


def test_ranking_copies_the_first_of_the_best(tmp_path):
    tree = JobTree(tmp_path, "job")
    scores = [SampleScore(1, 0, 0.25), SampleScore(1, 1, 0.5), SampleScore(2, 0, 0.5)]
    for score in scores:
        _write_sample(tree, score.seed, score.sample, f"{score.seed}/{score.sample}")
    assert write_ranking(tree, scores) == scores[1]
    assert (tmp_path / "job_model.cif").read_text() == "1/1"
    assert (tmp_path / "job_summary_confidences.json").read_text() == "1/1"
    with tree.ranking_csv.open(newline="") as stream:
        rows = list(csv.reader(stream))
    assert rows == [
        ["seed", "sample", "ranking_score"],
        ["1", "0", "0.25"],
        ["1", "1", "0.5"],
        ["2", "0", "0.5"],
    ]


def test_ranking_is_rewritten_when_a_better_sample_comes(tmp_path):
    tree = JobTree(tmp_path, "job")
    for seed in (1, 2):
        _write_sample(tree, seed, 0, f"seed {seed}")
    write_ranking(tree, [SampleScore(1, 0, 0.1)])
    write_ranking(tree, [SampleScore(1, 0, 0.1), SampleScore(2, 0, 0.9)])
    assert (tmp_path / "job_model.cif").read_text() == "seed 2"


def test_copies_that_the_best_sample_does_not_have_are_removed(tmp_path):
    tree = JobTree(tmp_path, "job")
    _write_sample(tree, 1, 0, "new")
    stale = {"job_model.pdb", "job_model.cif.zst", "job_confidences.json.zst", "job_model.pdb.zst"}
    kept = {"job_data.json", "job_report.html", "job2_model.pdb", "model.pdb"}
    for name in stale | kept:
        (tmp_path / name).write_text("old")
    write_ranking(tree, [SampleScore(1, 0, 0.5)])
    found = {path.name for path in tmp_path.iterdir() if path.is_file()}
    copies = {f"job_{end}" for end in ("model.cif", "confidences.json", "summary_confidences.json")}
    assert found == kept | copies | {"job_ranking_scores.csv"}
    assert (tmp_path / "job_model.cif").read_text() == "new"


def test_nothing_is_removed_by_a_process_that_has_lost_its_job(tmp_path):
    tree = JobTree(tmp_path, "job")
    tree.sample_dir(1, 0).mkdir()
    (tmp_path / "job_model.pdb").write_text("theirs")

    def lost():
        raise RuntimeError("taken over")

    with pytest.raises(RuntimeError, match="taken over"):
        write_ranking(tree, [SampleScore(1, 0, 0.5)], CheckedFiles(lost))
    assert (tmp_path / "job_model.pdb").read_text() == "theirs"


def test_nothing_is_ranked_without_samples(tmp_path):
    assert write_ranking(JobTree(tmp_path, "job"), []) is None
    assert list(tmp_path.iterdir()) == []
