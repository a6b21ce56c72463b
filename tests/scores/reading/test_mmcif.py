from pathlib import Path

import numpy as np
import pytest

from af3opt.scores.reading.files import UnreadableFileError
from af3opt.scores.reading.mmcif import read_category
from af3opt.scores.reading.structure import read_structure

LOOP = """data_x
_entry.id x
loop_
_atom_site.id
_atom_site.label_atom_id
_atom_site.note
1 "O5'" 'it's quoted'
2 C'1
;two
lines
;
3 CA plain # a comment
#
_cell.length_a 1.0
"""


def test_loop_with_every_kind_of_quoting():
    assert read_category(LOOP, "_atom_site") == {
        "id": ["1", "2", "3"],
        "label_atom_id": ["O5'", "C'1", "CA"],
        "note": ["it's quoted", "two\nlines", "plain"],
    }


def test_category_of_single_items():
    text = (
        "data_x\n#\n_entity_poly.entity_id 1\n_entity_poly.type\n'polypeptide(L)'\nloop_\n_a.b\n1\n"
    )
    assert read_category(text, "_entity_poly") == {"entity_id": ["1"], "type": ["polypeptide(L)"]}


def test_category_that_is_not_there_or_only_starts_alike():
    text = "data_x\nloop_\n_atom_site_anisotrop.id\n1\n"
    assert read_category(text, "_atom_site") == {}


def test_row_cut_off_at_the_end_of_a_truncated_file_is_dropped():
    text = "data_x\nloop_\n_atom_site.id\n_atom_site.x\n1 2\n3"
    assert read_category(text, "_atom_site") == {"id": ["1"], "x": ["2"]}


HEADER = "data_x\nloop_\n" + "".join(
    f"_atom_site.{name}\n"
    for name in ("label_atom_id", "label_comp_id", "auth_asym_id", "auth_seq_id", "Cartn_x",
                 "Cartn_y", "Cartn_z", "B_iso_or_equiv", "pdbx_PDB_model_num")
)  # fmt: skip


def write(tmp_path: Path, rows: str) -> Path:
    path = tmp_path / "model.cif"
    path.write_text(HEADER + rows)
    return path


def test_structure_groups_atoms_and_guesses_kinds(tmp_path):
    rows = (
        "N ALA A 1 0 0 0 90 1\nCA ALA A 1 1 0 0 91 1\nN GLY A 2 2 0 0 92 1\n"
        "P DA B 1 3 0 0 50 1\nC1 LIG C 1 4 0 0 40 1\n"
    )
    structure = read_structure(write(tmp_path, rows))
    topology = structure.topology
    assert topology.chain_ids == ("A", "B", "C")
    assert topology.chain_kinds == ("protein", "DNA", "ligand")
    assert topology.residue_names == ("ALA", "GLY", "DA", "LIG")
    assert topology.atom_residue.tolist() == [0, 0, 1, 2, 3]
    assert structure.b_factors.tolist() == [90, 91, 92, 50, 40]


def test_values_that_are_not_numbers_become_nan_and_nothing_else(tmp_path):
    structure = read_structure(write(tmp_path, "N ALA A 1 nan 0 ? inf 1\nCA ALA A x 1 2 3 5 1\n"))
    assert np.isnan(structure.coordinates[0, [0, 2]]).all()
    assert structure.coordinates[1].tolist() == [1, 2, 3]
    assert structure.topology.residue_number.tolist() == [1, 0]


def test_only_the_first_model_is_read(tmp_path):
    structure = read_structure(write(tmp_path, "N ALA A 1 0 0 0 90 1\nN ALA A 1 9 9 9 90 2\n"))
    assert structure.coordinates.tolist() == [[0, 0, 0]]


@pytest.mark.parametrize("text", ["", "hello", "data_x\nloop_\n_atom_site.id\n1\n", HEADER])
def test_file_without_atoms_is_unreadable_with_a_reason(tmp_path, text):
    path = tmp_path / "model.cif"
    path.write_text(text)
    with pytest.raises(UnreadableFileError, match=r"^model\.cif: "):
        read_structure(path)
