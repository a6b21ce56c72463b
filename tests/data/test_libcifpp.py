"""mmCIF text for libcifpp."""

import pytest

from af3opt.data.libcifpp import find_mmcif_dictionary, quote_cif_value, write_components_cif


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("N", "N"),
        ("?", "?"),
        ("", '""'),
        ("two words", '"two words"'),
        ("O5'", '"O5\'"'),
        ('5"', "'5\"'"),
        ("_x", '"_x"'),
        ("data_1", '"data_1"'),
        ("#1", '"#1"'),
        (";", '";"'),
        ("a'b\"c", "\n;a'b\"c\n;\n"),
        ("a\nb", "\n;a\nb\n;\n"),
    ],
)
def test_values_are_quoted_as_star_wants(value, text):
    assert quote_cif_value(value) == text


def test_components_file(tmp_path):
    path = tmp_path / "components.cif"
    write_components_cif(
        path,
        {"ALA": {"_chem_comp.id": ["ALA"], "_chem_comp_atom.atom_id": ["N", "H1'"]}},
    )
    expected = (
        'data_ALA\n#\nloop_\n_chem_comp.id\nALA\n#\nloop_\n_chem_comp_atom.atom_id\nN\n"H1\'"\n#\n'
    )
    assert path.read_text() == expected


def test_dictionary_is_found_where_the_variable_says(tmp_path, monkeypatch):
    (tmp_path / "mmcif_pdbx.dic").write_text("data_x")
    monkeypatch.setenv("LIBCIFPP_DATA_DIR", str(tmp_path))
    assert find_mmcif_dictionary() == tmp_path / "mmcif_pdbx.dic"
