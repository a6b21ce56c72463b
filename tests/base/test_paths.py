"""Where af3opt keeps its files, and who may write there."""

import os
import re
import subprocess

import pytest

from af3opt.base.errors import SetupError
from af3opt.base.paths import check_home, private_directory
from af3opt.environment.startup import prepare_process
from af3opt.settings.settings import resolve_settings


def test_parents_are_as_private_as_the_directory_whatever_the_umask(tmp_path):
    old = os.umask(0o002)
    try:
        made = private_directory(tmp_path / "home" / "cache" / "inner")
    finally:
        os.umask(old)
    modes = [path.stat().st_mode & 0o777 for path in (made, made.parent, made.parent.parent)]
    assert modes == [0o700] * 3


def test_a_directory_that_is_there_keeps_its_mode(tmp_path):
    tmp_path.chmod(0o755)
    private_directory(tmp_path / "inner")
    assert tmp_path.stat().st_mode & 0o777 == 0o755


def test_a_directory_that_others_can_write_to_is_refused(tmp_path):
    tmp_path.chmod(0o770)
    with pytest.raises(SetupError, match="is writable by others"):
        private_directory(tmp_path)


def test_a_file_in_the_way_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(SetupError, match=r"cannot create directory .*AF3OPT_HOME"):
        private_directory(tmp_path / "file" / "inner")


def test_a_directory_below_one_that_others_can_write_to_is_refused(tmp_path):
    inner = private_directory(tmp_path / "home" / "inner")
    (tmp_path / "home").chmod(0o777)
    with pytest.raises(SetupError, match=r"/home is writable by others"):
        private_directory(inner)


def test_a_home_that_others_can_write_to_stops_a_run(tmp_path, monkeypatch):
    home = tmp_path / "home"
    monkeypatch.setenv("AF3OPT_HOME", str(home))
    check_home()  # Not there yet: made private when it is needed.
    home.mkdir(mode=0o700)
    check_home()
    tmp_path.chmod(0o770)
    with pytest.raises(SetupError, match=r"AF3OPT_HOME=.*: .* is writable by others"):
        check_home()
    with pytest.raises(SetupError, match="is writable by others"):
        prepare_process(resolve_settings(["--json_path=input.json"], {}))


@pytest.mark.parametrize("level", ["project directory", "project directory/home"])
def test_the_refusal_names_the_command_that_mends_it(tmp_path, monkeypatch, level):
    """Also above the home: a project directory of a group, mode 2770."""
    home = tmp_path / "project directory" / "home"
    home.mkdir(mode=0o700, parents=True)
    (tmp_path / level).chmod(0o2770)
    monkeypatch.setenv("AF3OPT_HOME", str(home))
    with pytest.raises(
        SetupError, match=r"is writable by others \(mode 2770\).* or use "
    ) as refusal:
        check_home()
    command = re.search(r"type `(chmod .*)`", str(refusal.value))[1]
    subprocess.run(command, shell=True, check=True)
    check_home()
    assert (tmp_path / level).stat().st_mode & 0o700 == 0o700


@pytest.mark.skipif(os.geteuid() != 0, reason="gives a directory away")
def test_the_owner_is_asked_where_it_is_somebody_elses(tmp_path, monkeypatch):
    project, home = tmp_path / "project", tmp_path / "project" / "home"
    home.mkdir(mode=0o700, parents=True)
    project.chmod(0o2770)
    monkeypatch.setattr("os.geteuid", lambda: 4321)
    os.chown(home, 4321, -1)
    monkeypatch.setenv("AF3OPT_HOME", str(home))
    with pytest.raises(
        SetupError, match=f"; .*ask its owner to type `chmod \\+t {project}`, or use"
    ):
        check_home()
