"""Components that a job defines itself: values by which featurisation would fail."""

import json

import pytest

from af3opt.base.errors import InputError
from af3opt.inputs.findings import Findings, Place
from af3opt.inputs.user_ccd import check_user_ccd, check_values
from tests.conftest import REPOSITORY

EXAMPLE = json.loads((REPOSITORY / "examples" / "user_ccd_ligand.json").read_text())
ATOM = "LIG-1 C9 C 0 N 3.875 1.154 1.356"
# What is replaced in the example, by what, and what is said of it.
MISTAKES = {
    "bond": ("C8 C9 SING", "C8 C99 SING", "a bond names atom 'C99'"),
    "equal names": (ATOM, ATOM.replace("C9", "C8"), "2 atoms are named 'C8'"),
    "charge": (ATOM, ATOM.replace(" 0 ", " x "), "the charge of atom 'C9' is 'x'"),
    "long name": ("C9 ", "CARBON9 ", "atom 'CARBON9' has more than 4 characters"),
    "not finite": (ATOM, ATOM.replace("1.154", "nan"), "y_ideal of atom 'C9' is 'nan'"),
    "infinite": (ATOM, ATOM.replace("1.356", "1e999"), "z_ideal of atom 'C9' is '1e999'"),
}


@pytest.mark.engine
@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_wrong_value_is_named_before_anything_runs(mistake, tmp_path, prepared_home):
    from af3opt.data.bootstrap import bootstrap_engine
    from af3opt.engine.inputs import load_fold_input

    bootstrap_engine()
    old, new, message = MISTAKES[mistake]
    path = tmp_path / "job.json"
    path.write_text(json.dumps(EXAMPLE))
    load_fold_input(path, 0)
    path.write_text(json.dumps({**EXAMPLE, "userCCD": EXAMPLE["userCCD"].replace(old, new)}))
    with pytest.raises(InputError, match="userCCD: component 'LIG-1'") as caught:
        load_fold_input(path, 0)
    assert message in str(caught.value)


def test_what_is_unknown_or_hydrogen_is_left_to_the_engine():
    component = {
        "_chem_comp_atom.atom_id": ["C1", "H10AB"],
        "_chem_comp_atom.type_symbol": ["C", "H"],
        "_chem_comp_atom.charge": ["?", "0"],
        **{f"_chem_comp_atom.pdbx_model_Cartn_{axis}_ideal": ["?", "."] for axis in "xyz"},
        "_chem_comp_bond.atom_id_1": ["C1"],
        "_chem_comp_bond.atom_id_2": ["H10AB"],
    }
    findings = Findings()
    check_values("X", component, Place(findings))
    assert findings.errors == []


def test_a_component_that_is_defined_twice_is_said():
    findings = Findings()
    check_user_ccd(2 * EXAMPLE["userCCD"], Place(findings))
    assert findings.errors == []
    (warning,) = findings.warnings
    assert "component 'LIG-1' is defined 2 times" in warning
