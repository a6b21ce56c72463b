"""What is added to the engine's own writing of a sample."""

import json
import types

import pytest
import zstandard

from af3opt.engine import outputs

CIF = "# By using this file you agree\n# to terms.\ndata_job\n#\n_entry.id job\n"


def _engine(monkeypatch, *, removes_license):
    """A stand-in for the engine's post-processing, of a newer or an older version."""

    def write(output_dir, name, keep_license=True):
        text = CIF if keep_license else CIF[CIF.index("data_") :] + "# no usage category\n"
        (output_dir / f"{name}_model.cif").write_text(text)
        (output_dir / f"{name}_confidences.json").write_text('{"pae": []}')
        (output_dir / f"{name}_summary_confidences.json").write_text('{"ptm": 0.5}')

    if removes_license:

        def write_output(inference_result, output_dir, name=None, keep_license=True):
            write(output_dir, name, keep_license)
    else:

        def write_output(inference_result, output_dir, name=None):
            write(output_dir, name)

    module = types.SimpleNamespace(write_output=write_output)
    monkeypatch.setattr(outputs, "engine_module", lambda _name: module)


def _write(directory, **change):
    options = {"compress": False, "keep_license": True, "synthetic": False} | change
    outputs.write_sample(object(), directory, "job", **options)
    return {path.name: path for path in directory.iterdir()}


def test_files_are_the_engines_own(tmp_path, monkeypatch):
    _engine(monkeypatch, removes_license=False)
    files = _write(tmp_path)
    assert files["job_model.cif"].read_text() == CIF
    assert len(files) == 3


def test_the_two_large_files_are_compressed(tmp_path, monkeypatch):
    _engine(monkeypatch, removes_license=False)
    files = _write(tmp_path, compress=True)
    assert sorted(files) == [
        "job_confidences.json.zst",
        "job_model.cif.zst",
        "job_summary_confidences.json",
    ]
    data = files["job_model.cif.zst"].read_bytes()
    assert zstandard.ZstdDecompressor().decompressobj().decompress(data).decode() == CIF


@pytest.mark.parametrize("removes_license", [True, False])
def test_the_licence_is_left_out_by_any_engine(tmp_path, monkeypatch, removes_license):
    _engine(monkeypatch, removes_license=removes_license)
    text = _write(tmp_path, keep_license=False)["job_model.cif"].read_text()
    assert text.startswith("data_job\n")
    assert ("no usage category" in text) == removes_license


def test_synthetic_weights_are_named_in_model_and_summary(tmp_path, monkeypatch):
    _engine(monkeypatch, removes_license=False)
    files = _write(tmp_path, synthetic=True)
    assert files["job_model.cif"].read_text() == f"# {outputs.SYNTHETIC_NOTE}\n{CIF}"
    summary = json.loads(files["job_summary_confidences.json"].read_text())
    assert summary == {"ptm": 0.5, "af3opt_note": outputs.SYNTHETIC_NOTE}


def test_missing_terms_of_use_are_said(tmp_path, monkeypatch):
    monkeypatch.setattr(outputs, "find_engine", lambda: types.SimpleNamespace(root=tmp_path))
    path = tmp_path / "OUTPUT_TERMS_OF_USE.md"
    reason = outputs.why_no_terms_of_use()
    assert reason == f"the engine has no {path}: results get no TERMS_OF_USE.md"
    path.touch()
    assert outputs.why_no_terms_of_use() is None
