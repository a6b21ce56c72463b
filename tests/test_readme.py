"""The README: its generated table, its links and the commands it shows."""

import importlib.util
import re

import pytest

from af3opt.options.catalogue import all_options
from tests.conftest import REPOSITORY

DOCUMENTS = [REPOSITORY / name for name in ("README.md", "CHANGELOG.md", "examples/README.md")]


def test_flag_table_is_what_the_options_say():
    path = REPOSITORY / "scripts" / "write_flag_table.py"
    spec = importlib.util.spec_from_file_location("write_flag_table", path)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    text = script.README.read_text()
    assert script.with_table(text) == text, "run scripts/write_flag_table.py"
    assert "--save_pdb" in script.flag_table()
    assert "--num_recycles" not in script.flag_table()


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(document):
    for target in re.findall(r"\]\(([^)]+)\)", document.read_text()):
        if target.startswith("#"):
            headings = re.findall(r"^#+ (.+)$", document.read_text(), re.MULTILINE)
            anchors = {re.sub(r"[^a-z0-9 -]", "", h.lower()).replace(" ", "-") for h in headings}
            assert target[1:] in anchors
        elif "://" not in target:
            assert (document.parent / target).exists(), target


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_flags_and_scripts_that_are_shown_exist(document):
    text = document.read_text()
    flags = {name for option in all_options() for name in (option, f"no{option}")}
    for line in re.findall(r"^.*af3opt run .*$", text, re.MULTILINE):
        for flag in re.findall(r"--(\w+)", line.partition("af3opt run")[2]):
            assert flag in flags | {"help"}, line
    for script in re.findall(r"\b(scripts/[\w./-]+\w)", text):
        assert (REPOSITORY / script).exists(), script
    for example in re.findall(r"\b(examples/\w+\.json)", text):
        assert (REPOSITORY / example).exists(), example
