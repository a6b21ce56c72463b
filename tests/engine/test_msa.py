"""What is said when the engine's data pipeline fails."""

import errno
import os
from types import SimpleNamespace

import pytest

from af3opt.base.errors import SetupError
from af3opt.engine import msa


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_temporary_directory_is_named(monkeypatch, number):
    def process(fold_input):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(msa, "needs_search", lambda fold_input: True)
    monkeypatch.setattr("tempfile.tempdir", "/small/scratch")
    pipeline = msa.DataPipeline(SimpleNamespace())
    monkeypatch.setattr(pipeline, "_build", lambda: SimpleNamespace(process=process))
    with pytest.raises(SetupError, match=r"job1: /small/scratch has no space left; set TMPDIR"):
        pipeline.process(SimpleNamespace(name="job1"))


def test_a_missing_database_is_named_by_the_paths_that_were_tried(tmp_path):
    folders = (f"{tmp_path}/ssd", f"{tmp_path}/disk")
    with pytest.raises(SetupError) as caught:
        msa.expand_database("${DB_DIR}/uniref90.fasta", folders, "uniref90_database_path")
    assert str(caught.value).startswith(
        f"--uniref90_database_path: not found: {tmp_path}/ssd/uniref90.fasta, "
        f"{tmp_path}/disk/uniref90.fasta; set --db_dir"
    )


def test_a_pipe_is_no_database(tmp_path):
    pipe = tmp_path / "uniref90.fasta"
    os.mkfifo(pipe)
    with pytest.raises(SetupError, match=r"--flag: .*uniref90\.fasta is neither a file nor"):
        msa.expand_database("${DB_DIR}/uniref90.fasta", (str(tmp_path),), "flag")
