"""The component index: round trip, refusal of anything foreign or damaged."""

import pickle
import random
import threading

import pytest

from af3opt.base.errors import SetupError
from af3opt.data.ccd_index import (
    CcdIndex,
    decode_component,
    decode_first_value,
    encode_component,
    write_ccd_index,
)

COMPONENTS = {
    "ALA": {"_chem_comp.id": ["ALA"], "_chem_comp_atom.atom_id": ["N", "CA", "C"]},
    "HOH": {"_chem_comp.id": ["HOH"], "_chem_comp.name": ["2\n\"water\"; 'x'"]},
    "UNL": {"_chem_comp.id": ["?"], "_chem_comp.name": [""], "_empty.x": []},
    "A1A": {},
    "Ä-5": {"_chem_comp.name": ["β-D-gälactose"]},
}


def build(path, components=COMPONENTS):
    with path.open("wb") as stream:
        write_ccd_index(
            stream,
            list(components),
            [encode_component(component) for component in components.values()],
            {"kind": "test"},
        )
    return path


@pytest.fixture
def index_path(tmp_path):
    return build(tmp_path / "ccd.index")


def test_every_component_comes_back_with_its_order(index_path):
    index = CcdIndex(index_path)
    assert list(index) == list(COMPONENTS)
    assert len(index) == len(COMPONENTS)
    for code, component in COMPONENTS.items():
        assert index[code] == component
        assert list(index[code]) == list(component)
    assert dict(index.items()) == COMPONENTS
    assert index.source == {"kind": "test"}


def test_mapping_interface(index_path):
    index = CcdIndex(index_path)
    assert "ALA" in index
    assert "nope" not in index
    assert None not in index
    assert index.get("nope") is None
    assert index["ALA"] is index["ALA"]
    assert index.read("ALA") is not index.read("ALA")
    with pytest.raises(KeyError):
        index["nope"]
    assert pickle.loads(pickle.dumps(index))["HOH"] == COMPONENTS["HOH"]


def test_many_components_share_a_dictionary(tmp_path):
    generator = random.Random(1)
    components = {
        f"{number:05d}": {
            "_chem_comp_atom.atom_id": [f"C{row}" for row in range(60)],
            "_chem_comp_atom.x": [f"{generator.uniform(-9, 9):.3f}" for _ in range(60)],
        }
        for number in range(3000)
    }
    path = build(tmp_path / "ccd.index", components)
    assert dict(CcdIndex(path)) == components


def test_threads_share_one_index(index_path):
    index = CcdIndex(index_path)
    results = []

    def read():
        results.append(all(index.read(code) == COMPONENTS[code] for code in COMPONENTS))

    threads = [threading.Thread(target=read) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [True] * 8


def test_digest_depends_on_content_only(tmp_path):
    first = CcdIndex(build(tmp_path / "a"))
    second = CcdIndex(build(tmp_path / "b"))
    changed = CcdIndex(build(tmp_path / "c", {**COMPONENTS, "A1A": {"_x.y": ["1"]}}))
    assert first.content_digest == second.content_digest != changed.content_digest


def test_empty_index(tmp_path):
    index = CcdIndex(build(tmp_path / "ccd.index", {}))
    assert len(index) == 0
    assert list(index) == []


def test_separators_in_the_data_are_refused():
    with pytest.raises(ValueError, match="separator"):
        encode_component({"_x.y": ["a\x1fb"]})
    with pytest.raises(ValueError, match="separator"):
        encode_component({"_x.y": ["a\x1eb"]})
    assert decode_component("") == {}


def test_one_value_is_read_alone():
    text = encode_component({"_a.bc": ["no"], "_a.b": ["1", "2"], "_c.d": ["\n"]})
    assert decode_first_value(text, "_a.b") == "1"
    assert decode_first_value(text, "_a.bc") == "no"
    assert decode_first_value(text, "_c.d") == "\n"
    with pytest.raises(KeyError):
        decode_first_value(text, "b")


@pytest.mark.parametrize("codes", [["A", "A"], ["A\nB", "C"]])
def test_bad_codes_are_refused(tmp_path, codes):
    with (tmp_path / "x").open("wb") as stream, pytest.raises(ValueError, match="unique"):
        write_ccd_index(stream, codes, [b"", b""], {})


def test_flipped_bits_never_give_wrong_content(index_path):
    """Damage is refused, but for the few bits of a zstd header that mean nothing."""
    good = index_path.read_bytes()
    generator = random.Random(7)
    refused = 0
    for _ in range(500):
        damaged = bytearray(good)
        damaged[generator.randrange(len(good))] ^= 1 << generator.randrange(8)
        index_path.write_bytes(damaged)
        try:
            index = CcdIndex(index_path)
            content = {code: index[code] for code in index}
        except SetupError:
            refused += 1
        else:
            assert content == COMPONENTS
    assert refused > 450


def test_truncated_files_are_refused(index_path):
    good = index_path.read_bytes()
    for length in range(0, len(good), 7):
        index_path.write_bytes(good[:length])
        with pytest.raises(SetupError, match="af3opt prepare"):
            CcdIndex(index_path)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "af3opt prepare"),
        (b"short", "truncated"),
        (b"PK\x03\x04" + bytes(100), "is not a CCD index"),
        (b"AF3OCCD\x63" + bytes(100), "format version 99"),
    ],
)
def test_foreign_files_are_refused_in_one_line(tmp_path, content, reason):
    path = tmp_path / "ccd.index"
    path.write_bytes(content)
    with pytest.raises(SetupError, match=reason) as caught:
        CcdIndex(path)
    assert "af3opt prepare" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_file_and_file_writable_by_others(tmp_path, index_path):
    with pytest.raises(SetupError, match="af3opt prepare"):
        CcdIndex(tmp_path / "none")
    index_path.chmod(0o666)
    with pytest.raises(SetupError, match="writable by others"):
        CcdIndex(index_path)
