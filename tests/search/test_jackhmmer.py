"""Searches of survivors: preparation, faults and what is left behind."""

import errno
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from af3opt.search import jackhmmer, kernel
from af3opt.search.aside import Aside
from af3opt.search.jackhmmer import (
    JackhmmerError,
    PreparedSearch,
    prepare_search,
    restrict_searches,
    run_jackhmmer,
)
from af3opt.search.targets import DatabaseError
from af3opt.search.whole import IncompleteResultError
from tests.search import made_cases
from tests.search.reference import write_fasta

JACKHMMER = shutil.which("jackhmmer")
needs_jackhmmer = pytest.mark.skipif(JACKHMMER is None, reason="no jackhmmer")
BANNER = "# jackhmmer :: iteratively\n# HMMER 3.4 (Aug 2023)"


@pytest.fixture
def program(tmp_path):
    """Says that it is a jackhmmer; fails in the way that the environment asks for."""
    path = tmp_path / "jackhmmer"
    path.write_text(
        f"#!/bin/sh\nif [ $1 = -h ]; then echo '{BANNER}'; exit; fi\n"
        'case "$FAULT" in\n'
        "  killed) kill -9 $$ ;;\n"
        "  fails) echo 'Error: no space\nleft' >&2; exit 1 ;;\n"
        "  says) echo 'Fatal: on stdout'; exit 3 ;;\n"
        "  cut) echo '# STOCKHOLM 1.0' >out.sto ;;\n"
        "  *) echo // >out.sto ;;\n"
        "esac\n"
    )
    path.chmod(0o755)
    return str(path)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "query.fasta").write_text(">query\nMKVLAAGIV\nGLLLAQWERTY\n")
    write_fasta(tmp_path / "db.fasta", ["ACDEFGH", "MKVLAAGIVGLLLAQWERTY", "W"])
    return tmp_path


def command(program, database="db.fasta", *options):
    return [program, "-A", "out.sto", "-N", "1", "--F1", "5e-4", *options, "query.fasta", database]


def prepared(command):
    search = prepare_search(command, {})
    assert isinstance(search, PreparedSearch)
    return search


def test_searches_of_one_database_share_a_pass(folder, program):
    (folder / "other.fasta").write_text(">other\nWWWWWWWWWWWWWWWWWW\n")
    other = [*command(program)[:-2], "other.fasta", "db.fasta"]
    seen = []
    searches = [prepared(command(program)), prepared(other)]
    found = restrict_searches(searches, folder, 1, seen.append)
    assert isinstance(found, list)
    assert [(one.survivors, one.targets) for one in found] == [(1, 3), (0, 3)]
    assert len(seen) == 1
    own, empty = (Path(one.command[-1]).read_text() for one in found)
    assert own == ">target1 made\nMKVLAAGIVGLLLAQWERTY\n"
    assert empty.startswith(">")
    assert found[0].command[:-3] == [*command(program)[:-2], "-Z"]
    assert found[0].command[-3] == "3"


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("", "not one FASTA record"),
        ("MKV\n", "not one FASTA record"),
        (">\nMKV\n", "not one FASTA record"),
        (">a\nMKV\n>b\nMKV\n", "not one FASTA record"),
        (">a\n", "letters"),
        (">a\nMK-V\n", "letters"),
        (">a\nMKV\xe9\n", "cannot be read"),
    ],
)
def test_a_query_that_is_not_understood(folder, program, query, reason):
    (folder / "query.fasta").write_text(query, encoding="utf-8")
    aside = prepare_search(command(program), {})
    assert isinstance(aside, Aside)
    assert reason in aside.reason


def test_a_search_steps_aside_before_anything_is_read(folder, program):
    for words in (
        command(program, "db.fasta.gz"),
        command(program, "db.fasta", "--max"),
        command("/bin/true"),
    ):
        assert isinstance(prepare_search(words, {}), Aside)
    assert isinstance(prepare_search(command(program), {kernel.ISA_VARIABLE: "mmx"}), Aside)


def test_a_database_that_hmmer_would_refuse(folder, program):
    (folder / "db.fasta").write_text(">a\nAC-D\n")
    aside = restrict_searches([prepared(command(program))], folder, 1)
    assert isinstance(aside, Aside)
    assert "db.fasta" in aside.reason


def test_a_database_that_is_missing(folder, program):
    search = prepared(command(program, "none.fasta"))
    with pytest.raises(DatabaseError, match=r"none.fasta cannot be read"):
        restrict_searches([search], folder, 1)


def test_no_space_for_survivors(folder, program, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(jackhmmer, "scan_file", full)
    aside = restrict_searches([prepared(command(program))], folder, 1)
    assert isinstance(aside, Aside)
    # The directory of temporary files, which does not change from search to search.
    assert aside.reason == f"{folder.parent} has no space for the survivors"


def test_a_full_file_system_itself(folder, program):
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("no /dev/full")
    (folder / "survivors-0.fasta").symlink_to(full)
    aside = restrict_searches([prepared(command(program))], folder, 1)
    assert isinstance(aside, Aside)
    assert "no space" in aside.reason


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("killed", "killed by signal 9"),
        ("fails", r"exit code 1\): Error: no space left"),
        ("says", r"exit code 3\): Fatal: on stdout"),
        ("cut", "incomplete alignment in out.sto"),
    ],
)
def test_a_jackhmmer_that_fails_is_one_line(folder, program, monkeypatch, fault, message):
    monkeypatch.setenv("FAULT", fault)
    with pytest.raises((JackhmmerError, IncompleteResultError), match=message) as caught:
        run_jackhmmer(command(program))
    assert program in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_jackhmmer_that_works_or_is_not_there(folder, program):
    run_jackhmmer(command(program))
    with pytest.raises(JackhmmerError, match="cannot be started"):
        run_jackhmmer(command(f"{folder}/none"))


@needs_jackhmmer
def test_a_real_alignment_on_a_full_disk(folder):
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full")
    words = command(JACKHMMER)
    words[words.index("out.sto")] = "/dev/full"
    with pytest.raises((JackhmmerError, IncompleteResultError), match=r"incomplete|failed"):
        run_jackhmmer(words)


@needs_jackhmmer
def test_several_searches_after_one_pass_give_their_own_results(tmp_path):
    generator = np.random.default_rng(21)
    queries = [made_cases.made_protein(generator, 120) for _ in range(3)]
    relatives = [made_cases.relative(query, generator) for query in queries for _ in range(9)]
    others = [made_cases.made_protein(generator, 200) for _ in range(300)]
    database = write_fasta(tmp_path / "db.fasta", relatives + others)
    searches, full = [], []
    for index, query in enumerate(queries):
        path = tmp_path / f"query{index}.fasta"
        path.write_text(f">query\n{query}\n")
        for name, words in (("full", full), ("ours", searches)):
            out = tmp_path / f"{name}{index}.sto"
            words.append(
                [JACKHMMER, "-o", "/dev/null", "-A", str(out), "-N", "1", str(path), str(database)]
            )
    for words in full:
        run_jackhmmer(words)
    found = restrict_searches([prepared(words) for words in searches], tmp_path, 2)
    assert isinstance(found, list)
    for index, one in enumerate(found):
        run_jackhmmer(one.command)
        expected = (tmp_path / f"full{index}.sto").read_bytes()
        assert (tmp_path / f"ours{index}.sto").read_bytes() == expected
        assert expected.count(b"target") > 5
