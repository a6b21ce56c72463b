"""A cache directory that others write to: never a hang, a failure or a write elsewhere."""

import hashlib
import json
import os
import struct

import pytest

from af3opt.base.key import CacheKey
from af3opt.caching import entry
from af3opt.caching.manager import CacheManager
from tests.other_user import as_other, give_away, let_pass, needs_root

KEY = CacheKey.of({"input": "one"})


@pytest.fixture
def manager(tmp_path):
    made = CacheManager("test cache", tmp_path / "cache")
    assert made.put(KEY, [b"payload"])
    return made


@pytest.fixture
def path(manager):
    return manager.path_of(KEY.digest)


def forge(path, header, payload=b"", header_bytes=None, payload_bytes=None):
    """Writes an entry whose checksum fits whatever it says."""
    lengths = struct.pack("<IQ", len(header) if header_bytes is None else header_bytes,
                          len(payload) if payload_bytes is None else payload_bytes)  # fmt: skip
    content = lengths + header + payload
    digest = hashlib.blake2b(content, digest_size=32).digest()
    path.write_bytes(b"AF3OENT\x01" + digest + content)


def make_link(path):
    path.symlink_to("/etc/hostname")


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, make_link])
def test_what_is_no_file_is_a_miss_and_is_repaired(make, manager, path, caplog):
    path.unlink()
    make(path)
    assert manager.get(KEY) is None
    assert "it is made again" in caplog.text
    assert manager.put(KEY, [b"new"])
    assert bytes(manager.get(KEY)) == b"new"
    for look in (lambda: list(manager.entries()), manager.stats, manager.verify, manager.clear):
        path.unlink(missing_ok=True)
        make(path)
        look()
        path.rmdir() if path.is_dir() else path.unlink(missing_ok=True)


DEEP = b'{"material":' * 50_000
HEADERS = {
    "deep": DEEP,
    "deep and closed": b'{"material": ' + b'{"a":' * 900 + b"1" + b"}" * 901,
    "no object": b"[1, 2]",
    "wrong types": json.dumps(
        {"material": [["a", 1]], "created": 1, "writer": "", "information": {}}
    ).encode(),
    "infinite": b'{"material": {}, "created": Infinity, "writer": "", "information": {}}',
    "huge number": b'{"material": {}, "created": 1' + b"0" * 4000 + b', "writer": "", '
    b'"information": {}}',
    "nothing": b"",
}


@pytest.mark.parametrize("name", HEADERS)
def test_a_forged_header_is_a_miss(name, manager, path):
    forge(path, HEADERS[name])
    assert [info.header for info in manager.entries()] == [None]
    assert manager.seconds_to_make(KEY) == 0.0
    assert manager.get(KEY) is None
    assert manager.put(KEY, [b"new"])
    assert bytes(manager.get(KEY)) == b"new"


@pytest.mark.parametrize("seconds", ["soon", None, True, -5, 10**400, [1]])
def test_forged_information_counts_for_nothing(seconds, manager, path):
    header = {"material": KEY.material, "created": 1.0, "writer": "", "information": {}}
    header["information"] = {"seconds": seconds}
    forge(path, json.dumps(header).encode(), b"payload")
    assert manager.seconds_to_make(KEY) in (0.0, 1.0)
    assert manager.get(KEY) is not None


def test_forged_sizes_are_a_miss(manager, path):
    forge(path, b"{}", header_bytes=0xFFFFFFFF)
    assert [info.header for info in manager.entries()] == [None]
    assert manager.get(KEY) is None
    forge(path, b"{}", payload_bytes=1 << 62)
    assert manager.get(KEY) is None
    manager.put(KEY, [b"x"])
    os.truncate(path, entry._MOST_BYTES + 1)
    assert manager.get(KEY) is None


def test_a_hit_is_never_counted_in_a_file_of_somebody_elses_choice(manager, path, tmp_path):
    private = tmp_path / "private"
    private.write_bytes(b"mine")
    mark = path.with_suffix(".used")
    mark.symlink_to(private)
    assert manager.get(KEY) is not None
    mark.unlink()
    mark.hardlink_to(private)
    assert manager.get(KEY) is not None
    assert private.read_bytes() == b"mine"
    mark.unlink()
    os.mkfifo(mark)
    assert manager.get(KEY) is not None
    assert manager.stats().hits == 0
    mark.unlink()
    mark.symlink_to(tmp_path / "absent")
    assert manager.get(KEY) is not None
    assert not (tmp_path / "absent").exists()


@needs_root
def test_a_mark_of_another_user_is_not_appended_to(manager, path):
    mark = path.with_suffix(".used")
    mark.write_bytes(b"..")
    give_away(mark)
    assert manager.get(KEY) is not None
    assert mark.read_bytes() == b".."


@needs_root
def test_each_user_counts_apart_and_all_hits_are_listed(tmp_path, manager, path):
    let_pass(tmp_path / "below")
    for folder in (manager.root, path.parent):
        folder.chmod(0o777)
    path.chmod(0o644)
    assert manager.get(KEY) is not None
    assert as_other(lambda: bytes(manager.get(KEY)).decode()) == "payload"
    assert manager.stats().hits == 2
    assert path.with_suffix(".65534.used").stat().st_uid == 65534
    manager.clear()
    assert list(path.parent.iterdir()) == []


ANNA, BERT, GROUP = 70001, 70002, 70000


@needs_root
def test_a_group_shares_a_cache_of_data(tmp_path):
    root = tmp_path / "shared"
    root.mkdir()
    os.chown(root, 0, GROUP)
    root.chmod(0o2770)
    let_pass(root)
    shared = CacheManager("MSA cache", root)
    keys = [CacheKey.of({"input": name}) for name in ("of anna", "of bert", "damaged")]

    def read(key):
        found = CacheManager("MSA cache", root).get(key)
        return None if found is None else bytes(found).decode()

    def write(*numbers):
        os.umask(0o027)
        return [shared.put(keys[number], [b"payload"]) for number in numbers]

    assert as_other(lambda: write(0, 2), ANNA, GROUP) == [True, True]
    assert as_other(lambda: read(keys[0]), BERT, GROUP) == "payload"
    assert as_other(lambda: write(1), BERT, GROUP) == [True]
    assert as_other(lambda: read(keys[1]), ANNA, GROUP) == "payload"
    assert as_other(lambda: read(keys[1]), ANNA, 70009) is None
    # What one of them damages, another repairs.
    shared.path_of(keys[2].digest).write_bytes(b"junk")
    assert as_other(lambda: read(keys[2]), BERT, GROUP) is None
    assert as_other(lambda: write(2), BERT, GROUP) == [True]
    assert as_other(lambda: read(keys[2]), ANNA, GROUP) == "payload"
    assert shared.stats().hits == 3
    assert {info.last_used > 0 for info in shared.entries()} == {True}
    # Code is another matter.
    private = CacheManager("code", root, private=True)
    assert as_other(lambda: private.get(keys[0]) is None, ANNA, GROUP)


def test_a_folder_that_leads_elsewhere_is_neither_written_nor_pruned(manager, path, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    path.parent.rename(elsewhere)
    path.parent.symlink_to(elsewhere)
    before = sorted(elsewhere.iterdir())
    assert not manager.put(KEY, [b"new"])
    manager.clear()
    assert sorted(elsewhere.iterdir()) == before
    assert manager.stats().entries == 0


def test_quarantine_keeps_the_newest(manager, path):
    for number in range(40):
        manager.put(KEY, [b"x"])
        path.write_bytes(f"damaged {number}".encode())
        assert manager.get(KEY) is None
    assert manager.stats().quarantined == 40
    manager.prune()
    assert manager.stats().quarantined == 20
    kept = sorted(one.read_bytes() for one in (manager.root / "quarantine").iterdir())
    assert b"damaged 39" in kept
    assert b"damaged 0" not in kept


@needs_root
@pytest.mark.parametrize("level", [0, 1, 2])
def test_a_private_cache_reads_nothing_that_is_not_ours(level, manager, path, caplog):
    private = CacheManager("code", manager.root, private=True)
    assert bytes(private.get(KEY)) == b"payload"
    give_away((path, *path.parents)[level])
    assert private.get(KEY) is None
    assert "belongs to user id 65534" in caplog.text
