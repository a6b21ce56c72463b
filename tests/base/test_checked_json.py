"""JSON that may be damaged or forged."""

import json

import pytest

from af3opt.base.checked_json import parse_json, parse_object, parse_sealed, sealed_json

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
