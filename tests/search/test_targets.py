"""Files of databases that are not what they were."""

import os
import threading

import pytest

from af3opt.search.targets import (
    DatabaseError,
    TargetFile,
    not_plain_fasta,
    read_ahead,
)


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "targets.fasta"
    path.write_bytes(b">a\nACD\n")
    return path


def test_an_unchanged_file_passes(path):
    with TargetFile(path) as file:
        assert file.size == 7
        with file.reader() as descriptor:
            assert os.pread(descriptor, 100, 0) == b">a\nACD\n"
        file.check_unchanged()


def test_a_link_to_a_database_is_followed(path, tmp_path):
    link = tmp_path / "link.fasta"
    link.symlink_to(path)
    with TargetFile(link) as file:
        assert file.size == 7


def write_more(path):
    with path.open("ab") as file:
        file.write(b">b\nACD\n")


def cut(path):
    os.truncate(path, 3)


def replace(path):
    other = path.with_suffix(".new")
    other.write_bytes(path.read_bytes())
    other.replace(path)


def touch(path):
    os.utime(path, ns=(1, 1))


@pytest.mark.parametrize("change", [write_more, cut, replace, touch])
def test_a_changed_file_is_an_error(path, change):
    with TargetFile(path) as file:
        change(path)
        with pytest.raises(DatabaseError, match="changed while it was searched"):
            file.check_unchanged()
        with pytest.raises(DatabaseError, match="changed"), file.reader():
            pass


def test_a_removed_file_is_an_error(path):
    with TargetFile(path) as file:
        path.unlink()
        with pytest.raises(DatabaseError, match="No such file"):
            file.check_unchanged()


def test_a_fifo_is_not_waited_for(tmp_path):
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    done = threading.Event()

    def open_it():
        with pytest.raises(DatabaseError, match="not a regular file"):
            TargetFile(fifo)
        done.set()

    threading.Thread(target=open_it, daemon=True).start()
    assert done.wait(60)


@pytest.mark.parametrize("name", ["none.fasta", "."])
def test_what_cannot_be_read_is_named(tmp_path, name):
    with pytest.raises(DatabaseError, match=str(tmp_path)):
        TargetFile(tmp_path / name)


@pytest.mark.parametrize(("name", "plain"), [("a.fasta", True), ("a.gz", False), ("a.gb", False)])
def test_names_that_hmmer_reads_otherwise(tmp_path, name, plain):
    assert (not_plain_fasta(tmp_path / name) is None) == plain


@pytest.mark.parametrize(
    ("answer", "asked"),
    [(1, False), (0, True), (BlockingIOError(), True), (OSError(95, "not supported"), True)],
)
def test_a_span_is_fetched_ahead_unless_it_is_in_memory(path, monkeypatch, answer, asked):
    def preadv(_descriptor, _buffers, offset, flags):
        assert (offset, flags) == (15, os.RWF_NOWAIT)
        if isinstance(answer, OSError):
            raise answer
        return answer

    calls = []
    monkeypatch.setattr(os, "preadv", preadv)
    monkeypatch.setattr(os, "posix_fadvise", lambda *arguments: calls.append(arguments))
    with TargetFile(path) as file, file.reader() as descriptor:
        read_ahead(descriptor, range(10, 20))
        expected = [(descriptor, 10, 10, os.POSIX_FADV_WILLNEED)] if asked else []
    assert calls == expected


def test_a_python_that_cannot_ask_fetches_ahead(path, monkeypatch):
    calls = []
    monkeypatch.delattr(os, "RWF_NOWAIT", raising=False)
    monkeypatch.setattr(os, "posix_fadvise", lambda *arguments: calls.append(arguments[1:]))
    with TargetFile(path) as file, file.reader() as descriptor:
        read_ahead(descriptor, range(10, 20))
    assert calls == [(10, 10, os.POSIX_FADV_WILLNEED)]
