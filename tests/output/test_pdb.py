"""The PDB writer: columns, and the limits of the format."""

import dataclasses

import pytest

from af3opt.output.pdb import PdbAtom, PdbLimitError, check_pdb_limits, pdb_text

CA = PdbAtom(
    is_hetero=False,
    name="CA",
    residue_name="MET",
    chain_id="A",
    residue_number=1,
    x=11.104,
    y=-6.134,
    z=0.5,
    occupancy=1.0,
    b_factor=87.654,
    element="C",
)


def test_atom_line_has_the_columns_of_the_format():
    line = pdb_text([CA]).splitlines()[0]
    assert line[:6] == "ATOM  "
    assert line[6:11] == "    1"
    assert line[12:16] == " CA "
    assert line[17:20] == "MET"
    assert line[21] == "A"
    assert line[22:26] == "   1"
    assert (line[30:38], line[38:46], line[46:54]) == ("  11.104", "  -6.134", "   0.500")
    assert (line[54:60], line[60:66]) == ("  1.00", " 87.65")
    assert line[76:78] == " C"
    assert len(line) == 80


def test_names_of_two_letter_elements_and_four_characters_start_in_column_13():
    zinc = dataclasses.replace(CA, name="ZN", element="ZN", residue_name="ZN", is_hetero=True)
    hydrogen = dataclasses.replace(CA, name="HD11", element="H")
    text = pdb_text([zinc, hydrogen])
    assert text.splitlines()[0][:16] == "HETATM    1 ZN  "
    assert text.splitlines()[1][12:16] == "HD11"


def test_each_chain_ends_with_ter():
    other = dataclasses.replace(CA, chain_id="B")
    records = [line[:6].strip() for line in pdb_text([CA, CA, other]).splitlines()]
    assert records == ["ATOM", "ATOM", "TER", "ATOM", "TER", "END"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"chain_id": "AA"}, "chain 'AA'"),
        ({"residue_number": 10_000}, "residue number 10000"),
        ({"residue_name": "A1LU6"}, "component 'A1LU6'"),
        ({"name": "LONGN"}, "atom name 'LONGN'"),
        ({"x": 12_345.0}, "coordinate 12345.0"),
        ({"z": float("nan")}, "coordinate nan"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(change, message):
    with pytest.raises(PdbLimitError, match=message):
        check_pdb_limits([dataclasses.replace(CA, **change)])


def test_too_many_atoms_and_chains_are_refused():
    with pytest.raises(PdbLimitError, match="100000 atoms"):
        check_pdb_limits([CA] * 100_000)
    chains = [dataclasses.replace(CA, chain_id=chr(200 + index)) for index in range(63)]
    with pytest.raises(PdbLimitError, match="63 chains"):
        check_pdb_limits(chains)
