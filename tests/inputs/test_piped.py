"""Inputs through a pipe: read once, and there for all that read them later."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from af3opt import cli
from af3opt.base.errors import InputError
from af3opt.commands._run_settings import with_input_to_read_again
from af3opt.inputs.piped import is_pipe, read_pipe
from af3opt.settings.settings import check_run_settings, resolve_settings
from tests.conftest import REPOSITORY


@pytest.fixture
def pipe_with():
    """Returns a function that makes the path of a pipe with some content."""
    readers = []

    def make(content):
        reader, writer = os.pipe()
        readers.append(reader)
        os.write(writer, content)
        os.close(writer)
        return Path(f"/dev/fd/{reader}")

    yield make
    for reader in readers:
        os.close(reader)


def test_what_was_read_is_read_again_by_other_processes(pipe_with):
    path = pipe_with(b"{}")
    assert is_pipe(path)
    kept = read_pipe(path)
    assert not is_pipe(kept)
    assert kept.read_bytes() == kept.read_bytes() == b"{}"
    child = subprocess.run(["cat", str(kept)], capture_output=True, check=True)
    assert child.stdout == b"{}"


def test_it_is_there_for_the_program_that_takes_the_place_of_this_one():
    again = "print(open(sys.argv[1]).read())"
    program = f"""
import os, sys
from pathlib import Path
from af3opt.inputs.piped import read_pipe
kept = read_pipe(Path("/dev/stdin"))
os.execv(sys.executable, [sys.executable, "-c", "import sys; {again}", str(kept)])
"""
    shown = subprocess.run(
        [sys.executable, "-c", program], input="content", capture_output=True, text=True, check=True
    )
    assert shown.stdout == "content\n"


def test_too_much_is_refused(pipe_with):
    with pytest.raises(InputError, match="gives more than 3 bytes; not read"):
        read_pipe(pipe_with(b"1234"), most_bytes=3)


def test_settings_name_what_was_read(pipe_with, tmp_path):
    flags = [f"--json_path={pipe_with(b'{}')}", f"--output_dir={tmp_path}"]
    settings = with_input_to_read_again(resolve_settings(flags, {}))
    check_run_settings(settings)
    assert settings.json_path.read_bytes() == b"{}"


def test_a_file_stays_what_it_is(tmp_path):
    path = tmp_path / "in.json"
    path.write_text("{}")
    settings = resolve_settings([f"--json_path={path}"], {})
    assert with_input_to_read_again(settings) is settings


@pytest.mark.engine
def test_a_run_reads_a_pipe(pipe_with, tmp_path, capsys):
    pipe = pipe_with((REPOSITORY / "examples" / "ubiquitin.json").read_bytes())
    flags = [f"--json_path={pipe}", f"--output_dir={tmp_path / 'out'}", "--dry_run"]
    assert cli.main(["run", *flags, "--jax_backend=cpu", "--norun_data_pipeline"]) == 0
    assert "\nubiquitin " in capsys.readouterr().out


def test_a_pipe_is_not_submitted(pipe_with, tmp_path, capsys):
    flags = [f"--json_path={pipe_with(b'{}')}", f"--output_dir={tmp_path / 'out'}"]
    assert cli.main(["submit", "--site=two-partitions", *flags]) == 2
    assert "is a pipe, which is gone when the tasks start" in capsys.readouterr().err
