"""The state of a file: another content has another one, whatever is done about its times."""

import os
import time

import pytest

from af3opt.base.file_state import file_state


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "af3.bin"
    path.write_bytes(bytes(range(256)) * 2000)
    os.utime(path, (0, 0))
    return path


def test_a_file_that_nobody_touches_keeps_its_state(file):
    assert file_state(file) == file_state(file)
    assert file_state(file)[0] == 512_000


def test_a_byte_changed_in_place_is_another_state_though_size_and_time_are_set_back(file):
    before = file_state(file)
    time.sleep(0.05)  # Longer than the steps of the kernel's clock.
    with file.open("r+b") as stream:
        stream.seek(5000)
        stream.write(b"x")
    os.utime(file, (0, 0))
    after = file_state(file)
    assert (after[0], after[1]) == (before[0], before[1])
    assert after != before


def test_an_equal_file_in_its_place_is_another_state(file, tmp_path):
    before = file_state(file)
    other = tmp_path / "other"
    other.write_bytes(file.read_bytes())
    other.rename(file)
    os.utime(file, (0, 0))
    assert file_state(file) != before


@pytest.mark.parametrize("size", [1, 5000, 300_000, 3_000_000])
def test_samples_tell_where_an_image_fixes_all_times_and_inodes(size, tmp_path, monkeypatch):
    path = tmp_path / "af3.bin"
    path.write_bytes(b"a" * size)
    status = path.stat()
    before = file_state(path)
    path.write_bytes(b"b" * size)
    monkeypatch.setattr(os, "fstat", lambda _: status)
    after = file_state(path)
    assert after[:-1] == before[:-1]
    assert after != before


def test_an_empty_file_has_a_state_and_a_missing_one_is_an_error(tmp_path):
    path = tmp_path / "empty"
    path.touch()
    assert file_state(path)[0] == 0
    with pytest.raises(FileNotFoundError):
        file_state(tmp_path / "missing")


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    size, *_, samples = file_state(tmp_path / "pipe")
    assert (size, samples) == (0, "")
