"""What a user can get wrong: one clear line, exit code 2, nothing written."""

import json
import os

import pytest

from af3opt import cli
from af3opt.base.errors import ExitCode

pytestmark = pytest.mark.engine

PROTEIN = {
    "protein": {
        "id": "A",
        "sequence": "MQIFVKTLTG",
        "unpairedMsa": "",
        "pairedMsa": "",
        "templates": [],
    }
}


def fold_input(**change):
    content = {
        "dialect": "alphafold3",
        "version": 1,
        "name": "job",
        "modelSeeds": [1],
        "sequences": [PROTEIN],
    }
    return {key: value for key, value in (content | change).items() if value is not None}


def protein(**change):
    return {"protein": PROTEIN["protein"] | change}


@pytest.fixture
def refused(tmp_path, capfd, monkeypatch, prepared_home, small_weights):
    """Runs the command and checks that it ended with one line, code 2, and wrote nothing."""
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")

    def run(content, *flags, replace_flags=None):
        path = tmp_path / "input.json"
        if content is not None:
            path.write_text(content if isinstance(content, str) else json.dumps(content))
        output = tmp_path / "out"
        usual = [
            f"--json_path={path}",
            f"--output_dir={output}",
            f"--model_dir={small_weights}",
            "--jax_backend=cpu",
            "--quiet",
        ]
        capfd.readouterr()
        code = cli.main(["run", *(usual if replace_flags is None else replace_flags), *flags])
        printed = capfd.readouterr()
        assert code == ExitCode.USAGE, printed.err
        lines = [line for line in printed.err.splitlines() if line]
        assert len(lines) == 1, printed.err
        assert lines[0].startswith("af3opt: error: ")
        assert printed.out == ""
        assert not output.exists() or not any(output.iterdir())
        return lines[0]

    return run


def test_missing_file(refused, tmp_path):
    assert "no such file" in refused(None)


def test_invalid_json(refused):
    assert "input.json: is not valid JSON" in refused('{"name": ')


def test_not_text(refused, tmp_path):
    (tmp_path / "input.json").write_bytes(b"\xff\xfe\x00")
    assert "input.json" in refused(None)


@pytest.mark.parametrize("content", ["[]", "3", "null", '"text"', "[3]", "{}"])
def test_json_of_another_shape(refused, content):
    assert "input.json" in refused(content)


def test_wrong_dialect(refused):
    assert "unsupported dialect: nonsense" in refused(fold_input(dialect="nonsense"))


def test_missing_dialect(refused):
    assert "`dialect` and `version`" in refused(fold_input(dialect=None))


def test_unknown_field(refused):
    assert "colour" in refused(fold_input(colour="red"))


def test_missing_name(refused):
    assert "'name' is missing" in refused(fold_input(name=None))


def test_no_seeds(refused):
    assert "modelSeeds" in refused(fold_input(modelSeeds=[]))


def test_no_chains(refused):
    assert "'sequences' is empty" in refused(fold_input(sequences=[]))


@pytest.mark.parametrize("sequence", ["MQI1", "MQ-I", "MQ*"])
def test_unknown_residue(refused, sequence):
    line = refused(fold_input(sequences=[protein(sequence=sequence)]))
    assert sequence in line


def test_unknown_modification(refused):
    modified = protein(modifications=[{"ptmType": "QQQQQ", "ptmPosition": 1}])
    line = refused(fold_input(sequences=[modified]))
    assert "chain A: modifications: 'QQQQQ' is not in the chemical component dictionary" in line


def test_unknown_ccd_code(refused):
    ligand = {"ligand": {"id": "B", "ccdCodes": ["NOPE1"]}}
    line = refused(fold_input(sequences=[PROTEIN, ligand]))
    assert "chain B: ccdCodes: 'NOPE1'" in line


def test_invalid_smiles(refused):
    ligand = {"ligand": {"id": "B", "smiles": "C1CC(("}}
    assert "C1CC((" in refused(fold_input(sequences=[PROTEIN, ligand]))


def test_bond_to_an_atom_that_does_not_exist(refused):
    ligand = {"ligand": {"id": "B", "ccdCodes": ["ATP"]}}
    bonds = [[["A", 1, "CA"], ["B", 1, "XX9"]]]
    line = refused(fold_input(sequences=[PROTEIN, ligand], bondedAtomPairs=bonds))
    assert "ATP (chain B, residue 1) has no atom 'XX9'" in line


def test_missing_msa_file(refused):
    pointing = {"id": "A", "sequence": "MQIF", "unpairedMsaPath": "gone.a3m", "templates": []}
    line = refused(fold_input(version=2, sequences=[{"protein": pointing | {"pairedMsa": ""}}]))
    assert "gone.a3m" in line


def test_several_seeds_with_num_seeds(refused):
    line = refused(fold_input(modelSeeds=[1, 2]), "--num_seeds=3")
    assert "--num_seeds=3" in line


def test_unreadable_weights(refused, tmp_path):
    weights = tmp_path / "weights"
    weights.mkdir()
    (weights / "af3.bin.zst").write_bytes(b"not zstandard")
    assert "af3.bin.zst" in refused(fold_input(), f"--model_dir={weights}")


def test_missing_weights(refused, tmp_path):
    assert str(tmp_path / "none") in refused(fold_input(), f"--model_dir={tmp_path / 'none'}")


def test_missing_databases(refused, tmp_path):
    searching = {"protein": {"id": "A", "sequence": "MQIFVKTLTG"}}
    line = refused(
        fold_input(sequences=[searching]),
        "--jackhmmer_binary_path=/bin/true",
        "--nhmmer_binary_path=/bin/true",
        "--hmmalign_binary_path=/bin/true",
        "--hmmsearch_binary_path=/bin/true",
        "--hmmbuild_binary_path=/bin/true",
        f"--db_dir={tmp_path}",
    )
    assert "database_path" in line
    assert "--norun_data_pipeline" in line


def test_missing_msa_without_the_data_pipeline(refused):
    searching = {"protein": {"id": "A", "sequence": "MQIFVKTLTG"}}
    line = refused(fold_input(sequences=[searching]), "--norun_data_pipeline")
    assert "MSA" in line


def test_output_directory_that_cannot_be_made(refused, tmp_path):
    (tmp_path / "file").touch()
    line = refused(fold_input(), f"--output_dir={tmp_path / 'file' / 'out'}")
    assert "--output_dir=" in line


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_output_directory_without_permission(refused, tmp_path):
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o500)
    assert "cannot write there" in refused(fold_input(), f"--output_dir={locked}")


def test_empty_input_directory(refused, tmp_path):
    (tmp_path / "inputs").mkdir()
    flags = [f"--input_dir={tmp_path / 'inputs'}", f"--output_dir={tmp_path / 'out'}", "--quiet"]
    assert "holds no *.json file" in refused(None, replace_flags=flags)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([], "exactly one of --json_path and --input_dir"),
        (["--json_path=x", "--input_dir=y"], "exactly one of --json_path and --input_dir"),
        (["--input_dir=.", "--norun_inference", "--norun_data_pipeline"], "nothing to do"),
        (["--input_dir=.", "--buckets=256,128"], "buckets"),
        (["--input_dir=.", "--buckets=128,128"], "buckets"),
        (["--input_dir=.", "--num_recycles=0"], "num_recycles"),
        (["--input_dir=.", "--num_recycle=3"], "--num_recycles"),
    ],
)
def test_contradicting_or_wrong_flags(refused, tmp_path, flags, message):
    flags = [*flags, f"--output_dir={tmp_path / 'out'}"]
    assert message in refused(None, replace_flags=flags)
