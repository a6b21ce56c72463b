import errno
import os
from pathlib import Path

import pytest

from af3opt.base.foreign_files import open_foreign, read_foreign


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"content")
    return path


def test_a_regular_file_is_read(file):
    assert read_foreign(file, 7) == b"content"
    with open_foreign(file, 7) as stream:
        assert stream.read() == b"content"


def test_a_link_is_refused_and_one_above_is_followed(file, tmp_path):
    link = tmp_path / "link"
    link.symlink_to(file)
    with pytest.raises(OSError, match="is a link") as caught:
        read_foreign(link, 100)
    assert caught.value.errno == errno.ELOOP
    above = tmp_path / "above"
    above.symlink_to(tmp_path, target_is_directory=True)
    assert read_foreign(above / "file", 100) == b"content"


def test_a_fifo_is_refused_without_waiting(tmp_path):
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    with pytest.raises(OSError, match="is not a regular file"):
        read_foreign(fifo, 100)


def test_a_directory_is_refused(tmp_path):
    with pytest.raises(OSError, match="is not a regular file"):
        read_foreign(tmp_path, 100)


def test_a_missing_file_keeps_its_reason(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_foreign(tmp_path / "absent", 100)


def test_a_large_file_is_refused_before_and_while_reading(file, tmp_path):
    with pytest.raises(OSError, match="larger than 6 bytes"):
        open_foreign(file, 6)
    # Files of /proc have no size until they are read.
    with pytest.raises(OSError, match="larger than 6 bytes"):
        read_foreign(Path("/proc/self/status"), 6)


def test_nothing_stays_open_after_a_refusal(file, tmp_path):
    before = len(list(Path("/proc/self/fd").iterdir()))
    for path in (tmp_path, file):
        with pytest.raises(OSError, match=r"not a regular file|larger"):
            open_foreign(path, 1)
    assert len(list(Path("/proc/self/fd").iterdir())) == before
