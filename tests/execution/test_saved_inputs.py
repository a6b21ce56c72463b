"""Inputs that are saved again while a run reads them."""

import json

import pytest

from af3opt.base.errors import ExitCode, InputError
from af3opt.engine import inputs as engine_inputs
from af3opt.inputs.digest import input_digest
from tests.execution.conftest import RESIDUES, write_input
from tests.execution.test_equal_names import written

pytestmark = pytest.mark.engine

OTHER = "MAWYF"


@pytest.fixture
def saving(monkeypatch):
    """Calls a function once, after an input has been parsed and before it is taken."""

    def at_once(save):
        real, saved = engine_inputs.make_ccd, []

        def make_ccd(*arguments, **named):
            if not saved:
                saved.append(save())
            return real(*arguments, **named)

        monkeypatch.setattr(engine_inputs, "make_ccd", make_ccd)

    return at_once


def test_results_are_noted_for_the_input_that_was_parsed(runs, tmp_path, saving):
    inputs, output = tmp_path / "in", tmp_path / "out"
    for name in ("tiny", "zebra"):  # A job that is the only one is read once more, before all.
        write_input(inputs, name)
    saving(lambda: write_input(inputs, "tiny", (1,), OTHER))
    assert runs.run(inputs, output) == ExitCode.OK
    assert written(output) == {RESIDUES: output / "tiny"}
    # It is saved again, with what it holds already.
    assert runs.run(inputs, output) == ExitCode.OK
    assert set(written(output)) == {RESIDUES, OTHER}
    assert len(runs.steps()) == 3


def test_a_job_that_gets_another_name_meanwhile_is_refused(runs, tmp_path):
    path, output = write_input(tmp_path / "in", "tiny"), tmp_path / "out"

    def renamed():
        from af3opt.execution.batch import seed_source

        real = seed_source.load_job

        def load_job(*arguments):
            path.write_text(path.read_text().replace('"tiny"', '"other"'))
            return real(*arguments)

        seed_source.load_job = load_job

    assert runs.run(path, output, before=renamed) == InputError.exit_code
    assert "the job's name changed since the run began; run again" in runs.output
    assert not (output / "other").exists()


def test_the_digest_is_that_of_the_file_and_of_what_it_names(
    tmp_path, imported_engine, prepared_home, saving
):
    path = write_input(tmp_path, "tiny")
    content = json.loads(path.read_text()) | {"version": 2}
    del content["sequences"][0]["protein"]["unpairedMsa"]
    content["sequences"][0]["protein"]["unpairedMsaPath"] = "rows.a3m"
    path.write_text(json.dumps(content))
    rows = tmp_path / "rows.a3m"
    rows.write_text(f">query\n{RESIDUES}\n")
    _, digest = engine_inputs.load_digested_input(path)
    assert digest == input_digest(path, 0)
    saving(lambda: rows.write_text(f">query\n{RESIDUES}\n>more\n{RESIDUES}\n"))
    with pytest.raises(InputError, match="a file that it names changed while it was read"):
        engine_inputs.load_digested_input(path)
