"""Processes of `multiprocessing` import what the command imports, wherever the user stands."""

import ast
import os
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor

import pytest

from af3opt.base.spawning import spawn_context
from tests.conftest import REPOSITORY
from tests.scores.batches import write_job
from tests.scores.models import heterodimer

# As the installed command does: its own folder is first on the path, not the working directory.
PROGRAM = """\
import sys
from af3opt.cli import main
if __name__ == "__main__":
    sys.exit(main())
"""
VARIABLE = "PYTHONSAFEPATH"


def variable_here(_=None):
    return os.environ.get(VARIABLE)


@pytest.mark.parametrize("name", ["multiprocessing.py", "signal.py", "numpy.py"])
def test_collect_runs_no_file_of_the_working_directory(name, tmp_path):
    for job in range(20):
        write_job(tmp_path / "out", f"job{job}", heterodimer(), (0.5, 0.9))
    program = tmp_path / "bin" / "af3opt.script"
    program.parent.mkdir()
    program.write_text(PROGRAM)
    standing = tmp_path / "standing"
    standing.mkdir()
    (standing / name).write_text(f"open({str(tmp_path / 'was_run')!r}, 'w')\nraise SystemExit(9)\n")
    ended = subprocess.run(
        [sys.executable, program, "collect", tmp_path / "out", "--all_samples"],
        cwd=standing,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert not (tmp_path / "was_run").exists()
    assert (ended.returncode, ended.stderr) == (0, "")
    assert len(ended.stdout.splitlines()) == 41


@pytest.mark.parametrize("before", [None, "", "1"])
def test_the_variable_is_there_for_the_start_of_a_process_only(before, monkeypatch):
    if before is None:
        monkeypatch.delenv(VARIABLE, raising=False)
    else:
        monkeypatch.setenv(VARIABLE, before)
    with ProcessPoolExecutor(1, spawn_context()) as pool:
        assert list(pool.map(variable_here, [0])) == ["1"]
        assert variable_here() == before


def test_nothing_else_of_the_package_starts_processes_of_multiprocessing():
    starting = {"get_context", "Process", "Pool", "Manager"}
    for path in (REPOSITORY / "af3opt").rglob("*.py"):
        if path.name == "spawning.py":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            called = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
            first, _, last = called.rpartition(".")
            assert first != "multiprocessing" or last not in starting, path
            assert last != "ProcessPoolExecutor" or "spawn_context()" in ast.unparse(node), path
