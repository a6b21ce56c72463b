"""The whole bundled dictionary: every value of every component against the source."""

import itertools

import pytest

from af3opt.base.errors import SetupError
from af3opt.data.ccd_bcif import find_bundled_ccd
from af3opt.data.ccd_index import CcdIndex
from af3opt.data.prepared import find_prepared

pytestmark = pytest.mark.engine


@pytest.fixture
def index(prepared_home):
    prepared = find_prepared()
    if prepared.source["kind"] != "biotite":
        pytest.skip("the prepared dictionary is not the bundled one")
    return CcdIndex(prepared.ccd_index)


def expected_text(column):
    """Formats a column one value at a time."""
    values = column.data.array.tolist()
    if column.data.array.dtype.kind == "f":
        # The wwPDB writes no negative zero.
        texts = ["0.000" if abs(value) < 5e-4 else f"{value:.3f}" for value in values]
    else:
        texts = [str(value) for value in values]
    if column.mask is None:
        return texts
    missing = {0: None, 1: ".", 2: "?"}
    return [
        missing[code] or text for code, text in zip(column.mask.array.tolist(), texts, strict=True)
    ]


def row_ranges(category, key):
    """First and last row of each component, by a walk over the rows."""
    ranges, row = {}, 0
    for code, rows in itertools.groupby(category[key].as_array().tolist()):
        count = len(list(rows))
        ranges[code] = (row, row + count)
        row += count
    return ranges


def test_opens_and_has_what_the_engine_looks_up(index):
    again = CcdIndex(index.path)
    assert again["ALA"]["_chem_comp_atom.atom_id"][:4] == ["N", "CA", "C", "O"]
    assert len(again) > 50_000
    zinc = again["ZN"]
    assert zinc["_chem_comp_atom.charge"] == ["2"]
    assert not any(item.startswith("_chem_comp_bond.") for item in zinc)


@pytest.mark.slow
def test_every_value_of_every_component(index):
    """77 million values: about a minute."""
    pdbx = pytest.importorskip("biotite.structure.io.pdbx")
    try:
        block = pdbx.BinaryCIFFile.read(find_bundled_ccd()).block
    except SetupError as error:
        pytest.skip(str(error))
    codes = block["chem_comp"]["id"].as_array().tolist()
    assert list(index) == codes
    # Joined columns: lists of 77 million strings would take gigabytes.
    stored = {
        code: {item: "\x1f".join(values) for item, values in index.read(code).items()}
        for code in codes
    }
    seen = dict.fromkeys(codes, 0)
    for name, key in (
        ("chem_comp", "id"),
        ("chem_comp_atom", "comp_id"),
        ("chem_comp_bond", "comp_id"),
    ):
        ranges = row_ranges(block[name], key)
        assert set(ranges) <= set(codes)
        for item in block[name]:
            texts = expected_text(block[name][item])
            for code, (start, end) in ranges.items():
                assert stored[code][f"_{name}.{item}"] == "\x1f".join(texts[start:end]), code
                seen[code] += 1
    assert {code: len(items) for code, items in stored.items()} == seen
    assert sum(seen.values()) > 2_500_000
