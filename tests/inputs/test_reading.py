"""Reading inputs and the files they point to: any bytes, any kind of file."""

import gzip
import json
import lzma
import os
import random
import threading

import pytest
import zstandard

from af3opt.base.errors import InputError
from af3opt.inputs.reading import UnusableFileError, parse_json, read_json, read_text_file

COMPRESSORS = {
    "gz": gzip.compress,
    "xz": lzma.compress,
    "zst": zstandard.ZstdCompressor().compress,
}


@pytest.mark.parametrize("suffix", COMPRESSORS)
def test_compressed_files_are_unpacked(tmp_path, suffix):
    path = tmp_path / f"x.a3m.{suffix}"
    path.write_bytes(COMPRESSORS[suffix](">q\r\nACDé\r\n".encode()))
    assert read_text_file(path) == ">q\nACDé\n"


@pytest.mark.parametrize("suffix", COMPRESSORS)
def test_a_truncated_file_is_damaged(tmp_path, suffix):
    path = tmp_path / "x.a3m"
    text = ">q\n" + "".join(random.Random(1).choices("ACDEFGHIKLMNPQRSTVWY", k=200_000))
    path.write_bytes(COMPRESSORS[suffix](text.encode())[:-30])
    with pytest.raises(UnusableFileError, match="is damaged"):
        read_text_file(path)


@pytest.mark.parametrize("suffix", COMPRESSORS)
def test_junk_after_a_good_start_is_damaged(tmp_path, suffix):
    path = tmp_path / "x.a3m"
    path.write_bytes(COMPRESSORS[suffix](b">q\nAC\n")[:6] + random.Random(2).randbytes(3000))
    with pytest.raises(UnusableFileError, match="is damaged"):
        read_text_file(path)


@pytest.mark.parametrize("suffix", COMPRESSORS)
def test_several_parts_are_one_text(tmp_path, suffix):
    path = tmp_path / "x.a3m"
    path.write_bytes(COMPRESSORS[suffix](b">q\n") + COMPRESSORS[suffix](b"AC\n"))
    assert read_text_file(path) == ">q\nAC\n"


def test_a_pipe_is_refused_at_once(tmp_path):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    errors = []

    def read():
        try:
            read_text_file(path)
        except UnusableFileError as error:
            errors.append(str(error))

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    thread.join(timeout=60)
    assert errors == ["is not a regular file"]
    with pytest.raises(InputError, match="pipe: is not a regular file"):
        read_json(path)


def test_a_device_and_a_directory_are_refused(tmp_path):
    for path in (tmp_path, "/dev/zero"):
        with pytest.raises(UnusableFileError, match="is not a regular file"):
            read_text_file(path)


def test_a_link_is_followed(tmp_path):
    (tmp_path / "there").write_text(">q\nAC\n")
    (tmp_path / "link").symlink_to("there")
    assert read_text_file(tmp_path / "link") == ">q\nAC\n"


def test_what_is_not_there_is_named(tmp_path):
    with pytest.raises(UnusableFileError, match="cannot be read: no such file"):
        read_text_file(tmp_path / "gone")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[" * 1_000_000 + "]" * 1_000_000, "is nested too deeply"),
        ('{"a":' * 1_000_000, "is nested too deeply"),
        ('{"a": NaN}', "NaN is not a JSON value"),
        ('{"a": -Infinity}', "-Infinity is not a JSON value"),
        ("\ufeff{}", "begins with a byte order mark"),
        ('{"name": ', "is not valid JSON: .*line 1 column"),
        ("", "is not valid JSON"),
        ("1" * 5000, "is not valid JSON"),
    ],
    ids=range(8),
)
def test_strange_json_is_refused_in_one_line(text, message):
    with pytest.raises(ValueError, match=message) as caught:
        parse_json(text)
    assert "\n" not in str(caught.value)


def test_a_field_that_is_there_twice_is_told():
    content, doubled = parse_json('{"a": 1, "b": {"c": 1, "c": 2}, "a": 3}')
    assert content == {"a": 3, "b": {"c": 2}}
    assert doubled == ["c", "a"]


def test_other_encodings_are_refused(tmp_path):
    path = tmp_path / "x.json"
    path.write_bytes(json.dumps({"name": "x"}).encode("utf-16"))
    with pytest.raises(InputError, match=r"x\.json: is not UTF-8 text \(byte 0\)"):
        read_json(path)
