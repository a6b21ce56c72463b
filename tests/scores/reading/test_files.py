import json
import os

import numpy as np
import pytest

from af3opt.scores.reading.confidences import read_confidences, read_scores
from af3opt.scores.reading.files import UnreadableFileError, read_text
from af3opt.scores.reading.layout import find_sample_files
from tests.report.synthetic_job import SyntheticJob, write_job


@pytest.fixture
def job_dir(tmp_path):
    return write_job(tmp_path, SyntheticJob(residues=20, samples=1))


def test_fast_matrix_reading_equals_the_json_parser(job_dir):
    path = job_dir / "demo_confidences.json"
    values = json.loads(path.read_text())
    confidences = read_confidences(path)
    assert np.array_equal(confidences.pae, np.array(values["pae"], np.float32))
    assert list(confidences.token_res_ids) == values["token_res_ids"]
    path.write_text(json.dumps(values, indent=2))  # layout must not matter
    assert np.array_equal(read_confidences(path).pae, confidences.pae)


def test_unfinished_matrix_of_many_rows_is_given_up_quickly(tmp_path):
    path = tmp_path / "confidences.json"
    path.write_text('{"pae": [' + "[1]   " * 20000)
    with pytest.raises(UnreadableFileError, match="broken JSON"):
        read_confidences(path)


@pytest.mark.parametrize("pae", ["[[1, 2], [3]]", '[["a"]]', "[]", "7", "[[1, 2, 3], [4, 5, 6]]"])
def test_matrix_of_the_wrong_shape_is_not_used(tmp_path, pae):
    path = tmp_path / "confidences.json"
    path.write_text('{"pae": ' + pae + "}")
    assert read_confidences(path).pae is None


def test_truncated_zstd_has_a_reason(tmp_path):
    directory = write_job(tmp_path, SyntheticJob(residues=20, compress=True))
    path = next(directory.glob("*_model.cif.zst"))
    path.write_bytes(path.read_bytes()[:5])
    with pytest.raises(UnreadableFileError):
        read_text(path.with_name("absent"))
    path.write_bytes(b"not zstd at all")
    with pytest.raises(UnreadableFileError, match="damaged or truncated zstd"):
        read_text(path)


@pytest.mark.parametrize(
    "text",
    ["[" * 100000, '{"has_clash": {"a": 1}, "ptm": "x", "chain_ptm": [[]], "iptm": true}',
     '{"ptm": 1e999, "ranking_score": NaN, "chain_pair_iptm": [[1], [2]]}', "{}", "null",
     '{"ptm": ' + "9" * 5000 + "}"],
)  # fmt: skip
def test_hostile_summaries_never_raise_anything_else(tmp_path, text):
    path = tmp_path / "summary_confidences.json"
    path.write_text(text)
    try:
        scores = read_scores(path)
    except UnreadableFileError:
        return
    assert scores.ptm is None
    assert scores.iptm is None


def test_links_and_fifos_are_not_read(job_dir, tmp_path):
    inner = job_dir / "seed-1_sample-0"
    secret = tmp_path / "secret"
    secret.write_text("secret")
    model = inner / "demo_seed-1_sample-0_model.cif"
    model.unlink()
    model.symlink_to(secret)
    files = find_sample_files(inner, "demo")
    with pytest.raises(UnreadableFileError, match="is a link"):
        read_text(files.structure)
    fifo = tmp_path / "fifo.json"
    os.mkfifo(fifo)
    with pytest.raises(UnreadableFileError, match="not a regular file"):
        read_confidences(fifo)


def test_other_directories_are_no_samples(tmp_path):
    assert find_sample_files(tmp_path, "demo") is None


def test_text_that_only_looks_like_a_matrix_is_left_to_the_parser(tmp_path):
    path = tmp_path / "confidences.json"
    path.write_text('{"note": "\\"pae\\": [[1.0]]", "atom_plddts": [1, null, 3]}')
    found = read_confidences(path)
    assert found.pae is None
    np.testing.assert_array_equal(found.atom_plddts, np.float32([1, np.nan, 3]))


def test_numbers_of_any_kind_and_infinities_are_read(tmp_path):
    path = tmp_path / "confidences.json"
    path.write_text('{"pae": [[1, 2.25], [NaN, Infinity]], "token_res_ids": [1, 2]}')
    found = read_confidences(path)
    np.testing.assert_array_equal(found.pae, np.float32([[1, 2.25], [np.nan, np.inf]]))
    assert found.token_res_ids == (1, 2)
