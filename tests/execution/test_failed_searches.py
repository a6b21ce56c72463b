"""Failed searches: told to the processes of one run, tried again by another node and run."""

import os

import pytest

from af3opt.base.key import CacheKey
from af3opt.execution.batch import failed_searches
from af3opt.execution.batch.failed_searches import FailedSearches


def chain(sequence="MQIF", databases="2022"):
    """A chain's key in the MSA cache."""
    material = {"kind": "ProteinChain search", "sequence": sequence, "given": {}}
    return CacheKey.of({**material, "databases": databases})


CHAIN = chain()


@pytest.fixture
def at(tmp_path, monkeypatch):
    """Makes what a process of a node knows."""

    def make(host, array=None):
        monkeypatch.setattr(failed_searches.socket, "gethostname", lambda: host)
        for name in ("SLURM_JOB_ID", "SLURM_ARRAY_JOB_ID", "SLURM_ARRAY_TASK_ID"):
            monkeypatch.delenv(name, raising=False)
        if array is not None:
            monkeypatch.setenv("SLURM_JOB_ID", "77")
            monkeypatch.setenv("SLURM_ARRAY_JOB_ID", array)
            monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "1")
        return FailedSearches(tmp_path / "searches")

    return make


def age(tmp_path):
    """Lets all that was noted be of an hour ago."""
    for path in (tmp_path / "searches").rglob("failed-*"):
        status = path.stat()
        os.utime(path, (status.st_atime - 3600, status.st_mtime - 3600))


def test_other_chains_have_not_failed(at):
    one = at("a")
    one.note(CHAIN, "no licence")
    assert one.reason(chain("MQIFV")) is None


def test_a_database_that_changed_meanwhile_is_no_other_try(at):
    one = at("a")
    one.note(CHAIN, "it changed while it was searched")
    assert one.reason(chain(databases="2023")) == "it changed while it was searched"


def test_processes_of_a_node_tell_each_other(at):
    one, other = at("a"), at("a")
    assert other.reason(CHAIN) is None
    one.note(CHAIN, "no licence")
    assert one.reason(CHAIN) == "no licence"
    assert other.reason(CHAIN) == "no licence (found in this run by another process, on a)"


def test_another_node_tries_once_more(at):
    one, two, three = at("a"), at("b"), at("c")
    one.note(CHAIN, "no licence")
    assert two.reason(CHAIN) is None
    two.note(CHAIN, "killed")
    assert three.reason(CHAIN) is not None


def test_the_next_run_tries_again(at, tmp_path):
    at("a").note(CHAIN, "no licence")
    age(tmp_path)
    assert at("a").reason(CHAIN) is None


def test_a_later_task_of_the_same_array_is_of_the_same_run(at, tmp_path):
    at("a", array="5").note(CHAIN, "no licence")
    age(tmp_path)
    assert at("a", array="5").reason(CHAIN) is not None
    assert at("a", array="6").reason(CHAIN) is None


def test_damage_is_no_failure(at, tmp_path):
    one, other = at("a"), at("a")
    one.note(CHAIN, "no licence")
    for path in (tmp_path / "searches").rglob("failed-*"):
        path.write_text("{")
    assert other.reason(CHAIN) is None


def test_where_nothing_is_shared_a_process_knows_its_own():
    alone = FailedSearches(None)
    alone.note(CHAIN, "no licence")
    assert alone.reason(CHAIN) == "no licence"
    assert FailedSearches(None).reason(CHAIN) is None


def test_a_directory_that_cannot_be_written_is_no_error(tmp_path):
    (tmp_path / "searches").write_text("")
    one = FailedSearches(tmp_path / "searches")
    one.note(CHAIN, "no licence")
    assert one.reason(CHAIN) == "no licence"
