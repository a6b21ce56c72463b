"""Who could have written a file, or replaced a directory above it."""

import os
from pathlib import Path

import pytest

from af3opt.base.foreign_files import read_private
from af3opt.base.ownership import (
    RefusedFileError,
    checked_directory,
    directory_problem,
    unmapped_root,
)
from tests.other_user import give_away, needs_root

LIMIT = 1000


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"content")
    path.chmod(0o600)
    return path


@pytest.mark.parametrize("level", ["", "a", "a/b"])
@pytest.mark.parametrize("mode", [0o770, 0o707])
def test_every_level_counts(level, mode, tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    path = tmp_path / "a" / "b"
    assert directory_problem(path) is None
    (tmp_path / level).chmod(mode)
    assert directory_problem(path) == f"{tmp_path / level} is writable by others (mode {mode:o})"
    (path / "file").write_bytes(b"")
    with pytest.raises(RefusedFileError, match="is writable by others"):
        read_private(path / "file", LIMIT)


def test_a_group_can_be_allowed(tmp_path):
    (tmp_path / "a").mkdir()
    tmp_path.chmod(0o770)
    assert directory_problem(tmp_path / "a", group_may_write=True) is None
    tmp_path.chmod(0o777)
    assert directory_problem(tmp_path / "a", group_may_write=True) is not None


def test_a_sticky_level_protects_what_is_ours_below_it_only(tmp_path):
    (tmp_path / "a").mkdir()
    tmp_path.chmod(0o1777)
    assert directory_problem(tmp_path / "a") is None
    assert "writable by others" in directory_problem(tmp_path)


@needs_root
@pytest.mark.parametrize("level", ["a", "a/b"])
def test_a_level_of_another_user_is_refused(level, tmp_path):
    path = tmp_path / "a" / "b"
    path.mkdir(parents=True)
    give_away(tmp_path / level)
    tmp_path.chmod(0o1777)
    assert directory_problem(path) == f"{tmp_path / level} belongs to user id 65534"


def test_a_link_of_ours_is_followed_and_its_target_checked(tmp_path):
    (tmp_path / "real").mkdir()
    link = tmp_path / "link"
    link.symlink_to("real")
    assert directory_problem(link) is None
    with checked_directory(link) as descriptor:
        assert os.fstat(descriptor).st_ino == (tmp_path / "real").stat().st_ino
    (tmp_path / "real").chmod(0o777)
    assert directory_problem(link).startswith(f"{tmp_path / 'real'} is writable")
    (tmp_path / "up").symlink_to("link/../link")
    assert directory_problem(tmp_path / "up").startswith(f"{tmp_path / 'real'} is writable")


@needs_root
def test_a_link_of_another_user_is_refused(tmp_path):
    (tmp_path / "real").mkdir()
    link = tmp_path / "link"
    link.symlink_to("real")
    give_away(link)
    assert directory_problem(link) == f"{link} belongs to user id 65534"


def test_links_in_a_ring_end(tmp_path):
    (tmp_path / "one").symlink_to("two")
    (tmp_path / "two").symlink_to("one")
    assert "too many symbolic links" in directory_problem(tmp_path / "one")


def open_descriptors():
    return {path.name for path in Path("/proc/self/fd").iterdir()}


def test_no_descriptor_is_left_open(tmp_path, file):
    before = open_descriptors()
    directory_problem(tmp_path)
    read_private(file, LIMIT)
    tmp_path.chmod(0o777)
    directory_problem(tmp_path)
    with pytest.raises(RefusedFileError):
        read_private(file, LIMIT)
    tmp_path.chmod(0o700)
    with pytest.raises(FileNotFoundError):
        directory_problem(tmp_path / "missing" / "deeper")
    with pytest.raises(NotADirectoryError):
        directory_problem(file)
    assert open_descriptors() == before


def test_in_a_container_without_roots_id_its_odd_id_stands_for_root(tmp_path):
    odd = tmp_path / "overflow"
    odd.write_text("65534\n")
    for name, line in (("some", "1000 1000 1"), ("all", "0 0 4294967295")):
        (tmp_path / name).write_text(f"         {line}\n")
    assert unmapped_root(tmp_path / "some", odd) == {65534}
    assert unmapped_root(tmp_path / "all", odd) == frozenset()
    assert unmapped_root(tmp_path / "none", odd) == frozenset()
