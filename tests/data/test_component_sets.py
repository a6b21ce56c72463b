"""Glycan and ion sets."""

import pytest

from af3opt.base.errors import SetupError
from af3opt.data.component_sets import (
    component_sets_json,
    derive_component_sets,
    read_component_sets,
)

COMPONENTS = [
    ("NAG", "D-saccharide, beta linking", "2-acetamido-2-deoxy-beta-D-glucopyranose"),
    ("SUC", "SACCHARIDE", "sucrose"),
    ("OLI", "oligosaccharide", "no word of its own"),
    ("ZN", "NON-POLYMER", "ZINC ION"),
    ("ION", "non-polymer", "cation exchange onion"),
    ("UNX", "non-polymer", "UNKNOWN ATOM OR ION"),
    ("BOT", "saccharide", "an ion too"),
]


def test_sets_follow_type_and_name(tmp_path):
    sets = derive_component_sets(COMPONENTS)
    assert sets == {
        "glycans_linking": {"NAG"},
        "glycans_other": {"SUC", "BOT"},
        "ions": {"ZN", "BOT"},
    }
    path = tmp_path / "sets.json"
    path.write_text(component_sets_json(sets))
    assert read_component_sets(path) == sets


@pytest.mark.parametrize("text", ["", "[]", '{"ions": []}', '{"glycans_linking": [1]}'])
def test_damaged_sets_name_the_command(tmp_path, text):
    path = tmp_path / "sets.json"
    path.write_text(text)
    with pytest.raises(SetupError, match="af3opt prepare"):
        read_component_sets(path)
