"""Children of the command import what it imports, wherever the user stands."""

import subprocess

import pytest

from af3opt.base.child_process import module_command
from tests.conftest import REPOSITORY


def run(*arguments):
    return subprocess.run(
        [*module_command("af3opt"), *arguments], capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("name", ["json.py", "numpy.py", "af3opt.py"])
def test_files_in_the_working_directory_are_not_imported(name, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).write_text("raise SystemExit(9)\n")
    ended = run("run", "--print_settings")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "model_dir" in ended.stdout


def test_a_checkout_is_found_by_standing_in_it(monkeypatch):
    monkeypatch.delenv("PYTHONPATH", raising=False)
    monkeypatch.chdir(REPOSITORY)
    assert "-P" not in module_command("af3opt")
    assert run("--version").returncode == 0


def test_the_working_directory_may_be_gone(tmp_path, monkeypatch):
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert "-P" in module_command("af3opt")
