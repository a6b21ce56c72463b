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


def test_a_pipe_is_no_database(tmp_path):
    pipe = tmp_path / "uniref90.fasta"
    os.mkfifo(pipe)
    with pytest.raises(SetupError, match=r"--flag: .*uniref90\.fasta is neither a file nor"):
        msa.expand_database("${DB_DIR}/uniref90.fasta", (str(tmp_path),), "flag")
