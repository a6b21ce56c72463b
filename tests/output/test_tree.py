"""Upstream's output tree."""

import csv

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


def test_nothing_is_ranked_without_samples(tmp_path):
    assert write_ranking(JobTree(tmp_path, "job"), []) is None
    assert list(tmp_path.iterdir()) == []
