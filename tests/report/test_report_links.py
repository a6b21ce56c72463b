"""A report shows what lies in the job's directory, never what a link there leads to."""

import os
import shutil
from pathlib import Path

import pytest

from af3opt.report import write_batch_report, write_report
from tests.report.synthetic_job import SyntheticJob, write_job

SECRET = "PRIVATE KEY of whoever makes the report"


def write_demo(folder):
    directory = write_job(folder, SyntheticJob(residues=20))
    (directory / "TERMS_OF_USE.md").write_text("terms")
    return directory


FILES = (
    "TERMS_OF_USE.md", "demo_data.json", "demo_ranking_scores.csv", "demo_model.cif",
    "demo_confidences.json", "demo_summary_confidences.json", "demo_af3opt.json",
)  # fmt: skip


@pytest.fixture
def secret(tmp_path):
    """The same job with a secret in every file, somewhere else."""
    directory = write_demo(tmp_path / "private")
    for path in directory.rglob("*"):
        if path.is_file():
            text = path.read_text()
            path.write_text(text.replace("demo", SECRET) if "demo" in text else f"{SECRET}\n{text}")
    (directory / "demo_af3opt.json").write_text(f'{{"status": "failed", "reason": "{SECRET}"}}')
    return directory


def test_the_secret_would_be_seen(secret):
    assert SECRET in write_report(secret).read_text()


@pytest.mark.parametrize("name", FILES)
def test_a_linked_file_is_named_and_not_read(name, secret, tmp_path):
    directory = write_demo(tmp_path / "out")
    (directory / name).unlink(missing_ok=True)
    (directory / name).symlink_to(secret / name)
    assert SECRET not in write_report(directory).read_text()


def test_a_linked_sample_directory_is_left_out(secret, tmp_path):
    directory = write_demo(tmp_path / "out")
    samples = sorted(path for path in directory.iterdir() if path.is_dir())
    for path in samples:
        shutil.rmtree(path)
        path.symlink_to(secret / path.name)
    assert samples
    assert SECRET not in write_report(directory).read_text()


def test_a_linked_file_of_a_sample_is_not_read(secret, tmp_path):
    directory = write_demo(tmp_path / "out")
    linked = [path for path in directory.rglob("seed-*/*") if path.is_file()]
    for path in linked:
        path.unlink()
        path.symlink_to(secret / path.relative_to(directory))
    assert linked
    assert SECRET not in write_report(directory).read_text()


def test_a_linked_job_is_left_out_of_a_batch(secret, tmp_path):
    root = tmp_path / "out"
    write_demo(root)
    (root / "linked").symlink_to(secret)
    page = write_batch_report(root)
    assert SECRET not in page.read_text()
    assert not list(secret.glob("*.html"))
    (root / "failed.json").symlink_to(Path("/etc/hostname"))
    assert Path("/etc/hostname").read_text().strip() not in write_batch_report(root).read_text()


@pytest.mark.parametrize("name", FILES)
def test_a_pipe_does_not_hold_up_the_report(name, tmp_path):
    directory = write_demo(tmp_path / "out")
    (directory / name).unlink(missing_ok=True)
    os.mkfifo(directory / name)
    assert write_report(directory).is_file()
