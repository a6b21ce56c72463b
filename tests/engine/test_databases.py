"""The files behind a database path are those that the engine reads."""

from pathlib import Path

import pytest

from af3opt.engine import databases
from af3opt.engine.databases import database_files

FLAG = "uniref90_database_path"


def names(database, flag=FLAG):
    return [str(path) for path in database_files(database, flag)]


@pytest.fixture(autouse=True)
def _no_engine_remembered():
    yield
    databases.engine_reads_shards.cache_clear()


@pytest.mark.parametrize(
    ("database", "files"),
    [
        ("/d/u.fasta", ["/d/u.fasta"]),
        ("/d/u@2", ["/d/u-00000-of-00002", "/d/u-00001-of-00002"]),
        ("/d/u@1.fasta", ["/d/u-00000-of-00001.fasta"]),
        ("/d/u@2_x.fa", ["/d/u-00000-of-00002_x.fa", "/d/u-00001-of-00002_x.fa"]),
        ("/d/u@0", ["/d/u@0"]),
        ("/d/u@123456", ["/d/u@123456"]),
        ("/d/u@2/x", ["/d/u@2/x"]),
        ("/d/u@x", ["/d/u@x"]),
    ],
)
def test_shard_specifications(database, files):
    assert names(database) == files


def test_as_many_shards_as_there_are(tmp_path):
    for index in range(3):
        (tmp_path / f"u-{index:05d}-of-00003.fasta").touch()
    (tmp_path / "u-00000-of-old00.fasta").touch()
    (tmp_path / "u-00000-of-00002.fasta").touch()
    assert names(f"{tmp_path}/u@*.fasta") == [
        f"{tmp_path}/u-{index:05d}-of-00003.fasta" for index in range(3)
    ]
    assert names(f"{tmp_path}/other@*.fasta") == [f"{tmp_path}/other@*.fasta"]


def test_a_file_named_like_a_specification_hides_no_shards(tmp_path):
    (tmp_path / "u@1.fasta").touch()
    assert names(f"{tmp_path}/u@1.fasta") == [f"{tmp_path}/u-00000-of-00001.fasta"]


@pytest.mark.parametrize("flag", ["seqres_database_path", "pdb_database_path"])
def test_what_the_engine_never_splits_is_one_file(flag):
    assert names("/d/u@2", flag) == ["/d/u@2"]


def test_before_engines_had_shards_every_path_is_a_file(tmp_path, monkeypatch):
    databases.engine_reads_shards.cache_clear()
    monkeypatch.setattr(databases, "package_root", lambda: tmp_path)
    assert names("/d/u@2") == ["/d/u@2"]


@pytest.mark.engine
@pytest.mark.parametrize(
    "spec",
    [
        *("x.fasta", "x@3", "x@3.fasta", "x@1.fasta", "x@2_x.fa", "x@0", "x@0.fasta", "@2"),
        *("x@*.fasta", "none@*", "./x@*.fasta", "old@*.fasta", "odd@*.fasta", "zero@*"),
    ],
)
def test_the_engine_reads_the_same_files(tmp_path, monkeypatch, spec):
    from alphafold3.data.tools import shards

    monkeypatch.chdir(tmp_path)
    for name in (
        *("x-00000-of-00003.fasta", "x-00000-of-old00.fasta", "x-00000-of-00002.fasta"),
        *("x@1.fasta", "x@3.fasta", "x@*.fasta", "old-00000-of-old00.fasta", "zero-00000-of-00000"),
        *("odd-00000-of-0_007.fasta", "odd-00000-of-    3.fasta", "odd-00000-of--0001.fasta"),
    ):
        (tmp_path / name).touch()
    for path in (spec, f"{tmp_path}/{spec}"):
        expected = shards.get_sharded_paths(path) or [path]
        assert list(database_files(path, FLAG)) == list(map(Path, expected))
