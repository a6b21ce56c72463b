"""Files that another user could have written."""

import errno
import os
import socket
from pathlib import Path

import pytest

from af3opt.base.foreign_files import open_foreign, read_foreign, read_private
from af3opt.base.ownership import RefusedFileError
from tests.other_user import give_away, needs_root

LIMIT = 1000


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"content")
    path.chmod(0o600)
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


def make_link(path):
    path.symlink_to("/etc/hostname")


def make_socket(path):
    # Its own descriptor may be closed: the name stays.
    with socket.socket(socket.AF_UNIX) as server:
        os.chdir(path.parent)
        server.bind(path.name)


@pytest.mark.parametrize("make", [os.mkfifo, make_link, os.mkdir, make_socket])
def test_what_is_no_regular_file_is_refused_at_once(make, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "odd"
    make(path)
    for read in (read_foreign, read_private):
        with pytest.raises(RefusedFileError, match=f"^{path} is (not a regular|a link)"):
            read(path, LIMIT)


def test_a_link_that_the_user_named_is_followed(file, tmp_path):
    link = tmp_path / "link"
    link.symlink_to(file)
    with open_foreign(link, LIMIT, follow_links=True) as stream:
        assert stream.read() == b"content"


@pytest.mark.parametrize("mode", [0o620, 0o602])
def test_a_file_that_others_can_write_is_not_private(mode, file):
    file.chmod(mode)
    with pytest.raises(RefusedFileError, match=f"writable by others .mode {mode:o}"):
        read_private(file, LIMIT)


@needs_root
def test_a_file_of_another_user_is_not_private(file):
    give_away(file)
    with pytest.raises(RefusedFileError, match="belongs to user id"):
        read_private(file, LIMIT)
    assert read_foreign(file, LIMIT) == b"content"


def test_the_opened_file_is_not_inherited(file):
    with open_foreign(file, LIMIT) as stream:
        assert not os.get_inheritable(stream.fileno())
