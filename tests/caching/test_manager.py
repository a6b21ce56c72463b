"""The store: hits, misses, repair, limits, listings, and file systems that refuse."""

import logging
import os
import time

import pytest

from af3opt.base.key import CacheKey, differences
from af3opt.caching.entry import read_entry
from af3opt.caching.manager import CacheManager


@pytest.fixture
def manager(tmp_path):
    return CacheManager("test cache", tmp_path / "cache")


def _key(number=0, **more):
    return CacheKey.of({"input": f"input {number}", "options": {"tuple": (1, 2)}, **more})


def test_a_payload_comes_back(manager):
    assert manager.get(_key()) is None
    assert manager.put(_key(), [b"head", bytearray(b"tail")], {"note": "x"})
    assert bytes(manager.get(_key())) == b"headtail"
    assert manager.get(_key(1)) is None


def test_an_empty_payload_comes_back(manager):
    manager.put(_key(), [])
    assert bytes(manager.get(_key())) == b""


def test_the_order_of_the_material_does_not_matter():
    assert CacheKey.of({"a": 1, "b": 2}).digest == CacheKey.of({"b": 2, "a": 1}).digest
    assert CacheKey.of({"a": 1, "b": 2}).digest != CacheKey.of({"a": 2, "b": 1}).digest


def test_material_that_is_not_json_is_refused():
    with pytest.raises(TypeError):
        CacheKey.of({"a": object()})
    with pytest.raises(ValueError, match="JSON"):
        CacheKey.of({"a": float("nan")})


def test_differences_name_place_and_both_values():
    found = differences({"versions": {"rdkit": "2", "numpy": "1"}}, {"versions": {"rdkit": "1"}})
    assert found == [
        "versions.numpy: entry has nothing, now 1",
        "versions.rdkit: entry has 1, now 2",
    ]


def test_hits_are_counted_and_listed(manager):
    manager.put(_key(), [b"x" * 100], {"note": "hello"})
    for _ in range(3):
        manager.get(_key())
    (info,) = manager.entries()
    assert info.hits == 3
    assert info.header.information == {"note": "hello"}
    assert abs(info.created - time.time()) < 60
    stats = manager.stats()
    assert (stats.entries, stats.hits, stats.quarantined) == (1, 3, 0)
    assert stats.size == info.size > 100


def test_a_damaged_entry_is_set_aside_with_one_warning_and_repaired(manager, caplog):
    manager.put(_key(), [b"x" * 1000])
    path = manager.path_of(_key().digest)
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with caplog.at_level(logging.WARNING):
        assert manager.get(_key()) is None
        assert manager.get(_key()) is None
    assert len(caplog.records) == 1
    assert "checksum" in caplog.text
    assert manager.stats().quarantined == 1
    assert manager.put(_key(), [b"y"])
    assert bytes(manager.get(_key())) == b"y"


def test_an_entry_of_an_older_format_is_a_miss(manager, caplog):
    manager.put(_key(), [b"x"])
    path = manager.path_of(_key().digest)
    content = bytearray(path.read_bytes())
    content[7] = 0
    path.write_bytes(content)
    assert manager.get(_key()) is None
    assert "format version" in caplog.text


def test_an_entry_under_another_entrys_name_is_not_used(manager):
    manager.put(_key(1), [b"one"])
    manager.put(_key(2), [b"two"])
    manager.path_of(_key(1).digest).replace(manager.path_of(_key(2).digest))
    assert manager.get(_key(2)) is None


def test_the_least_recently_used_go_first(tmp_path):
    manager = CacheManager("test cache", tmp_path, max_bytes=100_000)
    for number in range(5):
        manager.put(_key(number), [os.urandom(15_000)])
        moment = time.time() - 1000 + number
        os.utime(manager.path_of(_key(number).digest), (moment, moment))
    assert manager.get(_key(0)) is not None
    for number in range(5, 8):
        manager.put(_key(number), [os.urandom(15_000)])
    assert manager.stats().size <= 100_000
    assert manager.get(_key(0)) is not None
    assert manager.get(_key(1)) is None
    assert manager.get(_key(7)) is not None


def test_pruning_by_age_and_clearing(manager):
    for number in range(4):
        manager.put(_key(number), [b"x"])
    past = time.time() - 10_000
    os.utime(manager.path_of(_key(1).digest), (past, past))
    assert manager.prune(older_than_s=5_000)[0] == 1
    assert manager.clear()[0] == 3
    assert manager.stats().entries == 0


def test_leftovers_of_killed_writers_are_pruned_after_an_hour(manager):
    manager.put(_key(), [b"x"])
    folder = manager.path_of(_key().digest).parent
    old, new = folder / ".a.entry.af3opt-tmp-1-aa", folder / ".a.entry.af3opt-tmp-2-bb"
    for path in (old, new):
        path.write_bytes(b"half")
    past = time.time() - 4000
    os.utime(old, (past, past))
    manager.prune()
    assert not old.exists()
    assert new.exists()
    assert manager.stats().entries == 1


def test_a_full_disk_is_said_once_and_gone_on_without(tmp_path, monkeypatch, caplog):
    manager = CacheManager("test cache", tmp_path)

    def no_space(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("af3opt.caching.manager.write_entry", no_space)
    assert not manager.put(_key(), [b"x"])
    assert not manager.put(_key(1), [b"x"])
    assert caplog.text.count("No space left on device") == 1


def test_a_directory_that_cannot_be_made_is_gone_on_without(tmp_path, caplog):
    (tmp_path / "file").write_text("in the way")
    manager = CacheManager("test cache", tmp_path / "file" / "cache")
    assert manager.get(_key()) is None
    assert not manager.put(_key(), [b"x"])
    assert "going on without" in caplog.text


def test_a_directory_that_others_can_write_to_is_said(tmp_path, caplog):
    manager = CacheManager("test cache", tmp_path)
    manager.put(_key(), [b"x"])
    tmp_path.chmod(0o777)
    assert manager.get(_key()) is not None
    assert "writable by others" in caplog.text


@pytest.fixture
def open_umask():
    """As on clusters where each user has a group of their own."""
    old = os.umask(0o002)
    yield
    os.umask(old)


def test_a_cache_made_here_is_private_whatever_the_umask(tmp_path, open_umask, caplog):
    manager = CacheManager("test cache", tmp_path / "home" / "cache")
    manager.put(_key(), [b"x"])
    assert manager.get(_key()) is not None
    assert [path for path in (tmp_path / "home").rglob("*") if path.stat().st_mode & 0o077] == []
    assert (tmp_path / "home").stat().st_mode & 0o777 == 0o700
    assert caplog.text == ""


def test_a_cache_opened_to_a_group_is_shared_with_it(tmp_path, manager):
    manager.root.mkdir()
    manager.root.chmod(0o2770)
    manager.put(_key(), [b"x"])
    manager.get(_key())
    path = manager.path_of(_key().digest)
    assert path.parent.stat().st_mode & 0o7777 == 0o2770
    # What is left to the umask is whether others of the group may change an entry.
    assert path.stat().st_mode & 0o047 == 0o040
    path.write_bytes(b"damaged")
    manager.get(_key())
    assert (manager.root / "quarantine").stat().st_mode & 0o7777 == 0o2770


def test_verify_finds_what_is_damaged(manager):
    for number in range(3):
        manager.put(_key(number), [os.urandom(100)])
    path = manager.path_of(_key(1).digest)
    path.write_bytes(path.read_bytes()[:-1])
    good, damaged = manager.verify()
    assert good == 2
    assert [entry for entry, _ in damaged] == [path]


def test_headers_keep_the_material(manager):
    manager.put(_key(), [b"x"])
    header, _ = read_entry(manager.path_of(_key().digest))
    assert header.material["input"] == "input 0"
    assert header.material["options"] == {"tuple": [1, 2]}
