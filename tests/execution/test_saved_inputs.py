"""Inputs that are saved again while a run reads them."""

import json

import pytest

from af3opt.base.errors import InputError
from af3opt.engine import inputs as engine_inputs
from af3opt.inputs.digest import input_digest
from tests.execution.conftest import RESIDUES, write_input

pytestmark = pytest.mark.engine


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
