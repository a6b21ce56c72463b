import dataclasses
import json
import os
from pathlib import Path

import pytest

from af3opt.base.json_files import (
    from_json,
    parse_json,
    parse_object,
    parse_sealed,
    read_json,
    sealed_json,
    to_json,
    write_json,
)


@dataclasses.dataclass(frozen=True, slots=True)
class Point:
    x: int
    label: str = ""
    weights: dict[int, float] = dataclasses.field(default_factory=dict)


def test_what_is_written_is_read(tmp_path):
    path = tmp_path / "point.json"
    write_json(path, Point(3, "näme", {2: 0.5}))
    assert read_json(path, Point) == Point(3, "näme", {2: 0.5})
    assert list(json.loads(path.read_text(encoding="utf-8"))) == ["label", "weights", "x"]


def test_files_of_other_versions_are_read():
    assert from_json('{"x": 1}', Point) == Point(1)
    assert from_json('{"x": 1, "newer": [{}]}', Point) == Point(1)


@pytest.mark.parametrize(
    "text",
    [
        *("", "{", "{}", "[]", "null", "\x00", '{"x": "1"}', '{"x": 1.5}', '{"x": null}'),
        *('{"x": Infinity}', '{"x": NaN}', '{"x": 1, "weights": {"1": 1e999}}'),
        *('{"x": 1, "weights": {"a": 1}}', '{"x": 1, "label": "\\ud800"}'),
        *("[" * 100_000, '{"x":' * 100_000, '{"new": ' + "[" * 100_000),
    ],
)
def test_junk_is_a_miss(tmp_path, text):
    assert from_json(text, Point) is None
    path = tmp_path / "point.json"
    path.write_text(text)
    assert read_json(path, Point) is None


def test_only_plain_files_of_ours_are_read(tmp_path):
    path = tmp_path / "point.json"
    assert read_json(path, Point) is None
    os.mkfifo(path)
    assert read_json(path, Point) is None
    path.unlink()
    path.mkdir()
    assert read_json(path, Point) is None
    write_json(tmp_path / "there.json", Point(1))
    link = tmp_path / "link.json"
    link.symlink_to("there.json")
    assert read_json(link, Point) is None
    (tmp_path / "there.json").chmod(0o666)
    assert read_json(tmp_path / "there.json", Point) == Point(1)
    assert read_json(tmp_path / "there.json", Point, private=True) is None


def test_numbers_that_json_has_not_become_null():
    assert json.loads(to_json({"a": float("nan"), "b": [float("inf")]})) == {"a": None, "b": [None]}


def test_text_that_utf8_has_not_is_escaped():
    value = {"name\ud800": ["\udcff.json", Path("ü\udcff"), 1]}
    expected = {"name\\ud800": ["\\udcff.json", "ü\\udcff", 1]}
    assert json.loads(to_json(value)) == expected


CONTENT = {"text": "a ü", "numbers": [1, 2.5, None, True], "inner": {"deep": {"er": [[]]}}}


@pytest.mark.parametrize(
    "raw",
    [
        b"", b"{", b"\xff", b'{"a": Infinity}', b"-Infinity", b"NaN", b"1e999", b"[" * 100_000,
        b"[" * 65 + b"]" * 65, b'{"a":' * 70 + b"1" + b"}" * 70, b"9" * 5000,
    ],
)  # fmt: skip
def test_what_is_no_sane_json_is_a_value_error(raw):
    with pytest.raises(ValueError):  # noqa: PT011 - the parser's own words differ
        parse_json(raw)


def test_plain_values_come_back():
    assert parse_json(json.dumps(CONTENT)) == CONTENT
    with pytest.raises(ValueError, match="not a JSON object"):
        parse_object(b"[]")


def test_sealed_content_comes_back():
    assert parse_sealed(sealed_json(CONTENT)) == CONTENT
    assert parse_sealed(sealed_json(CONTENT, indent=1).encode()) == CONTENT
    assert parse_sealed(sealed_json({"tuple": (1, 2)})) == {"tuple": [1, 2]}


def test_no_single_changed_bit_gives_other_content():
    raw = sealed_json(CONTENT).encode()
    for position in range(len(raw) * 8):
        damaged = bytearray(raw)
        damaged[position // 8] ^= 1 << position % 8
        try:
            found = parse_sealed(bytes(damaged))
        except ValueError:
            continue
        assert found == CONTENT


def test_content_without_or_with_another_seal_is_refused():
    with pytest.raises(ValueError, match="checksum"):
        parse_sealed(json.dumps(CONTENT))
    other = json.loads(sealed_json({"a": 1}))["seal"]
    with pytest.raises(ValueError, match="checksum"):
        parse_sealed(json.dumps({"a": 2, "seal": other}))
