"""Inputs to check: small valid jobs and changes of them."""

import copy
import json

import pytest

from af3opt.inputs.checking import check_content, check_file

SEQUENCE = "NLYIQWLKDGGPSSGRPPPS"


def protein(**change):
    """One protein entry with nothing left to search; None removes a field."""
    body = {
        "id": "A",
        "sequence": SEQUENCE,
        "unpairedMsa": "",
        "pairedMsa": "",
        "templates": [],
    } | change
    return {"protein": {key: value for key, value in body.items() if value is not None}}


def rna(**change):
    return {"rna": {"id": "A", "sequence": "ACGUACGU", "unpairedMsa": ""} | change}


def dna(**change):
    return {"dna": {"id": "A", "sequence": "ACGTACGT"} | change}


def ligand(**change):
    return {"ligand": {"id": "B"} | change}


def job(*sequences, **change):
    """A job of the alphafold3 dialect; None removes a field."""
    content = {
        "dialect": "alphafold3",
        "version": 4,
        "name": "job",
        "modelSeeds": [1],
        "sequences": list(sequences or [protein()]),
    } | change
    return {key: copy.deepcopy(value) for key, value in content.items() if value is not None}


def server_job(*sequences, **change):
    """A job of AlphaFold Server's dialect."""
    return {"name": "job", "modelSeeds": ["1"], "sequences": list(sequences)} | change


@pytest.fixture
def found(tmp_path):
    """Checks a job and returns its error line ("" if there is none)."""

    def check(content):
        checked = check_content(content, tmp_path / "input.json")
        text = checked.findings.summary
        assert "\n" not in text
        return text

    return check


@pytest.fixture
def warned(tmp_path):
    """Checks a job that must pass and returns its warnings."""

    def check(content):
        checked = check_content(content, tmp_path / "input.json")
        assert checked.findings.errors == []
        return checked.findings.warnings

    return check


@pytest.fixture
def in_file(tmp_path):
    """Writes content as a file and checks that."""

    def check(content):
        path = tmp_path / "input.json"
        path.write_text(json.dumps(content))
        return check_file(path)

    return check
