"""A real search: jackhmmer, nhmmer, hmmsearch and friends on the miniature databases."""

import json
import os
import shutil
import subprocess
import sys

import pytest

from tests.conftest import REPOSITORY

TESTDATA = REPOSITORY / "tests" / "testdata"
_TOOLS = ("jackhmmer", "nhmmer", "hmmalign", "hmmsearch", "hmmbuild")


@pytest.fixture
def hmmer():
    missing = [tool for tool in _TOOLS if shutil.which(tool) is None]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)} (Debian and Ubuntu: apt install hmmer)")


def _search(output_dir, *flags):
    command = [
        sys.executable, "-m", "af3opt", "run",
        f"--json_path={TESTDATA / 'search.json'}", f"--output_dir={output_dir}",
        "--norun_inference", *flags,
    ]  # fmt: skip
    return subprocess.run(
        command, cwd=REPOSITORY, env=os.environ, capture_output=True, text=True, check=False
    )


@pytest.mark.engine
@pytest.mark.slow
def test_relatives_and_a_template_are_found(tmp_path, prepared_home, hmmer):
    completed = _search(tmp_path, f"--db_dir={TESTDATA / 'databases'}")
    assert completed.returncode == 0, completed.stderr
    data = json.loads((tmp_path / "search" / "search_data.json").read_text())
    protein, rna = (next(iter(entity.values())) for entity in data["sequences"])
    # The query and the relatives; the twelve random sequences of each database are no hits.
    unpaired = protein["unpairedMsa"].count(">")
    assert 20 <= unpaired <= 46
    paired = [line for line in protein["pairedMsa"].splitlines() if line.startswith(">")]
    assert any("_YEAST" in line for line in paired)
    assert 5 <= rna["unpairedMsa"].count(">") <= 40
    (template,) = protein["templates"]
    assert "data_9ZZZ" in template["mmcif"].upper().replace("DATA_", "data_")
    assert len(template["queryIndices"]) > 60


@pytest.mark.engine
def test_a_missing_database_is_named(tmp_path, prepared_home, hmmer):
    completed = _search(tmp_path / "out", f"--db_dir={tmp_path}")
    assert completed.returncode == 2
    (line,) = [line for line in completed.stderr.splitlines() if "error:" in line]
    assert "_database_path" in line
    assert str(tmp_path) in line
    assert not (tmp_path / "out").exists()
