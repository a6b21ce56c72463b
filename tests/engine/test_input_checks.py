"""What only the engine can find in an input is found before anything is begun."""

import copy
import json

import pytest

from af3opt.base.errors import InputError
from tests.conftest import REPOSITORY
from tests.inputs.conftest import SEQUENCE, job, ligand, protein, rna, server_job

pytestmark = pytest.mark.engine

GIVEN = json.loads((REPOSITORY / "examples" / "template_given.json").read_text())
TEMPLATE = GIVEN["sequences"][0]["protein"]["templates"][0] | {
    "queryIndices": [0, 1],
    "templateIndices": [0, 1],
}


# Right by its items, but a loop of it is not whole.
OWN = json.loads((REPOSITORY / "examples" / "user_ccd_ligand.json").read_text())["userCCD"]
BROKEN_COMPONENT = f"{OWN.rstrip().rstrip('#')}left_over\n"


@pytest.fixture
def load(prepared_home, tmp_path, monkeypatch):
    """Loads the first job of an input through all checks."""
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    from af3opt.data.bootstrap import bootstrap_engine
    from af3opt.engine.inputs import load_fold_input

    bootstrap_engine()

    def load(content, position=0):
        path = tmp_path / "input.json"
        path.write_text(json.dumps(content))
        return load_fold_input(path, position)

    return load


def template(**change):
    return job(protein(templates=[TEMPLATE, copy.deepcopy(TEMPLATE) | change]))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            template(queryIndices=[0, 1], templateIndices=[20, 21]),
            "template 2: templateIndices: 21 is beyond the template of 21 residues; .* from 1$",
        ),
        (
            template(queryIndices=[0, 1], templateIndices=[0, 99]),
            "template 2: templateIndices: 99 is beyond .* the last is 20$",
        ),
        (template(mmcif="data_X\n"), "chain A: templates: template 2: mmcif: "),
        (
            template(mmcif=TEMPLATE["mmcif"].replace("revision_date", "other")),
            "template 2: mmcif: Template structure HELIX must have a release date",
        ),
        (job(protein(), ligand(smiles="C1CC((")), "chain B: smiles: .*RDKit"),
        (job(protein(), ligand(smiles="[H][H]")), "chain B: smiles: .* no atom but hydrogen"),
        (job(protein(), ligand(ccdCodes=["ATP", "UNL"])), "chain B: ccdCodes: 'UNL' has no atom"),
        (job(protein(), ligand(ccdCodes=["atp"])), "'atp' is not in .*; did you mean 'ATP'"),
        (
            job(protein(modifications=[{"ptmType": "UNX", "ptmPosition": 2}])),
            "chain A: modifications: 'UNX' has no atom",
        ),
        (job(userCCD="hello"), "userCCD: .*must start with 'data_'"),
        (job(userCCD="data_X\n_chem_comp.id X\n"), "userCCD: component 'X' lacks _chem_comp.name"),
        (job(userCCD=BROKEN_COMPONENT), "userCCD: .*INVALID_ARGUMENT"),
        (
            job(
                protein(
                    modifications=[{"ptmType": "SEP", "ptmPosition": 1}],
                    unpairedMsa=f">q\n{SEQUENCE}\n",
                )
            ),
            f"chain A: unpairedMsa: row 1 must be the sequence .*: S{SEQUENCE[1:]}",
        ),
        (
            [server_job({"ion": {"ion": "XYZXYZ"}})],
            r"input\.json: job 1 \(job\): chain A: ccdCodes: 'XYZXYZ' is not in",
        ),
    ],
)
def test_it_is_placed(load, content, message):
    with pytest.raises(InputError, match=message) as caught:
        load(content)
    assert "input.json: " in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "content",
    [
        template(queryIndices=[0, 1], templateIndices=[19, 20]),
        # Of chains this short the engine reads no templates and no alignments.
        job(protein(sequence="NLYI", templates=[TEMPLATE | {"mmcif": "data_X\n"}], id="B")),
        job(
            protein(
                modifications=[{"ptmType": "SEP", "ptmPosition": 1}],
                unpairedMsa=f">q\nS{SEQUENCE[1:]}\n",
            )
        ),
        job(
            rna(
                modifications=[{"modificationType": "2MG", "basePosition": 3}],
                unpairedMsa=">q\nACGUACGU\n",
            )
        ),
    ],
)
def test_it_is_accepted(load, content):
    assert load(content).name == "job"


def test_every_job_of_a_list_is_loaded_by_itself(load):
    good = server_job({"dnaSequence": {"sequence": "GATTACA"}}, name="good")
    bad = server_job({"proteinChain": {"sequence": "MQI1"}}, name="bad")
    for position in (0, 2):
        assert load([good, bad, good], position).name == "good"
    with pytest.raises(InputError, match=r"job 2 \(bad\): chain A: sequence"):
        load([good, bad, good], 1)
    with pytest.raises(InputError, match="holds no fold job"):
        load([good], 1)


def test_a_warning_is_said_once_in_a_process(load, caplog):
    bonds = [[["A", 1, "CA"], ["B", 1, "CA"]]]
    content = job(protein(), protein(id="B", sequence="MQIFVK"), bondedAtomPairs=bonds, name="pp")
    load(content)
    load(content)
    (record,) = [record for record in caplog.records if record.levelname == "WARNING"]
    assert "input.json: bondedAtomPairs: bond 1: AlphaFold 3 drops A 1 CA - B 1 CA" in (
        record.getMessage()
    )
