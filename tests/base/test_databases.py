"""What a database is known by: not its name, path or time, and all that is in it."""

import os
from pathlib import Path

import pytest

from af3opt.base.databases import database_identity, program_identity, states_of_files

# More than is read whole.
LARGE_BYTES = 65 << 20


def _write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def test_a_copy_is_the_same_database(tmp_path):
    first = _write(tmp_path / "a" / "x.fasta", b">a\nACDEF\n" * 100)
    copy = _write(tmp_path / "b" / "y.fasta", first.read_bytes())
    os.utime(copy, (1, 1))
    assert database_identity([first]) == database_identity([copy])


@pytest.mark.parametrize("place", [0, 500, 999])
def test_every_byte_of_a_small_database_counts(tmp_path, place):
    path = _write(tmp_path / "x.fasta", b"A" * 1000)
    before = database_identity([path])
    content = bytearray(path.read_bytes())
    content[place] = ord("C")
    path.write_bytes(content)
    assert database_identity([path]) != before


@pytest.mark.parametrize("change", ["another size", "a residue more at the beginning"])
def test_another_release_of_a_large_database_is_another(tmp_path, change):
    path = _write(tmp_path / "x.fasta", os.urandom(4096))
    os.truncate(path, LARGE_BYTES)
    before = database_identity([path])
    if change == "another size":
        os.truncate(path, LARGE_BYTES + 1)
    else:
        path.write_bytes(b"A" + path.read_bytes()[:-1])
    assert database_identity([path]) != before


def test_of_a_large_database_samples_are_read(tmp_path):
    """Not all of it, which would take hours: a byte between them goes unnoticed."""
    path = _write(tmp_path / "x.fasta", b"")
    os.truncate(path, LARGE_BYTES)
    before = database_identity([path])
    with path.open("r+b") as stream:
        stream.seek(1 << 20)
        stream.write(b"A")
    assert database_identity([path]) == before


def test_files_in_a_directory_count_by_their_names(tmp_path):
    for folder in ("a", "b"):
        _write(tmp_path / folder / "1abc.cif", b"data_x")
    assert database_identity([tmp_path / "a"]) == database_identity([tmp_path / "b"])
    _write(tmp_path / "b" / "2abc.cif", b"data_x")
    assert database_identity([tmp_path / "a"]) != database_identity([tmp_path / "b"])


def test_each_file_counts(tmp_path):
    files = [_write(tmp_path / f"x-{index:05d}-of-00002", b">a\nACDEF\n") for index in range(2)]
    before = database_identity(files)
    assert len(before) == 2
    _write(files[1], b">a\nACDEG\n")
    assert database_identity(files) != before


@pytest.mark.timeout(60)
@pytest.mark.parametrize("large", [False, True])
def test_a_pipe_or_a_device_is_not_waited_for(tmp_path, large):
    pipe = tmp_path / "x.fasta"
    os.mkfifo(pipe)
    beside = _write(tmp_path / "y.fasta", b"")
    os.truncate(beside, LARGE_BYTES if large else 1)
    for path in (pipe, Path("/dev/zero")):
        with pytest.raises(OSError, match="not a regular file"):
            database_identity([beside, path])
        with pytest.raises(OSError, match="not a regular file"):
            program_identity(path)


def test_links_to_databases_are_followed(tmp_path):
    path = _write(tmp_path / "x.fasta", b">a\nACDEF\n")
    link = tmp_path / "link.fasta"
    link.symlink_to(path)
    assert database_identity([link]) == database_identity([path])


def test_a_missing_database_has_no_identity(tmp_path):
    with pytest.raises(FileNotFoundError):
        database_identity([tmp_path / "x.fasta"])
    assert states_of_files([tmp_path / "x.fasta"]) == (None,)


def test_a_file_that_is_written_anew_with_equal_content_has_another_state(tmp_path):
    path = _write(tmp_path / "x.fasta", b">a\nA\n")
    before = states_of_files([path])
    assert states_of_files([path]) == before
    _write(tmp_path / "new", path.read_bytes()).rename(path)
    assert states_of_files([path]) != before
