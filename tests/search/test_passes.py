"""Passes that searches share: who waits for whom, and what is left behind."""

import logging
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from af3opt.search.aside import Aside
from af3opt.search.jackhmmer import RestrictedSearch, prepare_search
from af3opt.search.passes import SearchStoppedError, SharedPasses
from af3opt.search.targets import DatabaseError

pytest.importorskip("pyhmmer")
JACKHMMER = shutil.which("jackhmmer")
pytestmark = pytest.mark.skipif(JACKHMMER is None, reason="needs jackhmmer")

QUERY = "MQIFVKTLTGKTITLEVEPSDTIENVKAKIQDKEGIPPDQQRLIFAGKQLEDGRTLSDYNIQKESTLHLVLRLRGG"


@pytest.fixture
def search(tmp_path, monkeypatch):
    """Makes a prepared search of a chain in a database."""
    monkeypatch.setenv("TMPDIR", str(tmp_path / "scratch"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "scratch"))
    (tmp_path / "scratch").mkdir()

    def make(number, database):
        query = tmp_path / f"query{number}.fasta"
        query.write_text(f">query\n{QUERY[number:]}\n")
        command = [JACKHMMER, "-o", "/dev/null", "-A", "x.sto", "--noali", "-N", "1"]
        prepared = prepare_search([*command, "--F1", "0.0005", str(query), str(database)], {})
        if isinstance(prepared, Aside):
            pytest.skip(prepared.reason)
        return prepared

    return make


@pytest.fixture
def database(tmp_path):
    path = tmp_path / "database.fasta"
    path.write_text("".join(f">t{number}\n{QUERY}\n" for number in range(20)))
    return path


def passes_in(caplog):
    return [record.getMessage() for record in caplog.records if "Scanned" in record.getMessage()]


def test_a_company_is_served_by_one_pass(search, database, caplog, tmp_path):
    caplog.set_level(logging.INFO)
    passes = SharedPasses(threads=2)
    searches = [search(number, database) for number in range(5)]

    def use(one):
        with passes.restricted(one) as restricted:
            assert isinstance(restricted, RestrictedSearch)
            return Path(restricted.command[-1]).read_text().count(">")

    with passes.company(5) as leave, ThreadPoolExecutor(5) as threads:
        # The last one comes when the others wait already.
        first = [threads.submit(use, one) for one in searches[:4]]
        assert not any(one.done() for one in first)
        assert use(searches[4]) == 20
        assert [one.result() for one in first] == [20] * 4
        leave()
    (line,) = passes_in(caplog)
    assert "for 5 chains: 20 targets" in line
    assert list((tmp_path / "scratch").iterdir()) == []


def test_who_has_left_or_stays_away_is_not_waited_for(search, database, caplog):
    caplog.set_level(logging.INFO)
    passes = SharedPasses(threads=1)
    with passes.company(3) as leave:
        leave()
        passes.stay_away(str(database))
        with passes.restricted(search(0, database)) as restricted:
            assert isinstance(restricted, RestrictedSearch)
    assert len(passes_in(caplog)) == 1


def test_what_is_wrong_with_a_database_reaches_everybody(search, database, tmp_path):
    passes = SharedPasses(threads=1)
    searches = [search(number, database) for number in range(3)]
    database.unlink()

    def use(one):
        with pytest.raises(DatabaseError, match=r"database\.fasta"), passes.restricted(one):
            pass

    with passes.company(3), ThreadPoolExecutor(3) as threads:
        list(threads.map(use, searches))
    assert list((tmp_path / "scratch").iterdir()) == []


def test_who_waits_is_told_of_the_end(search, database):
    passes = SharedPasses(threads=1)
    one = search(0, database)
    waiting = threading.Event()

    def use():
        waiting.set()
        with passes.restricted(one):
            pass

    with passes.company(2), ThreadPoolExecutor(1) as threads:
        waits = threads.submit(use)
        assert waiting.wait(60)
        passes.stop()
        with pytest.raises(SearchStoppedError):
            waits.result()
