"""Completion and manual page: what the commands' help says, and usable."""

import shutil
import subprocess
import sys

import pytest
import write_shell_files

from tests.test_scripts import _tool


@pytest.mark.skipif(sys.version_info[:2] != (3, 12), reason="argparse words help differently")
def test_they_are_what_the_commands_say():
    for path, text in write_shell_files.shell_files().items():
        assert path.read_text(encoding="utf-8") == text, "run scripts/write_shell_files.py"


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (("st",), {"status"}),
        (("help", "war"), {"warm"}),
        (("run", "--num_diffusion_st"), {"--num_diffusion_steps"}),
        (("--noresu",), {"--noresume"}),
        (("submit", "--resu"), {"--resubmit", "--resume"}),
        (("status", "--js"), {"--json"}),
        (("run", "input"), set()),
    ],
)
def test_bash_completes(words, found):
    program = (
        'source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _af3opt; '
        'printf "%s\\n" "${COMPREPLY[@]}"'
    )
    command = ["bash", "-c", program, "bash", str(write_shell_files.BASH), "af3opt", *words]
    shown = subprocess.run(command, capture_output=True, text=True, check=True)
    assert set(shown.stdout.split()) == found


def test_the_completion_lints():
    command = [_tool("shellcheck"), "--shell=bash", str(write_shell_files.BASH)]
    shown = subprocess.run(command, capture_output=True, text=True, check=False)
    assert shown.returncode == 0, shown.stdout


@pytest.mark.skipif(shutil.which("groff") is None, reason="needs groff")
def test_the_manual_page_is_set_without_a_warning():
    command = ["groff", "-man", "-ww", "-Tutf8", "-P-cbou", str(write_shell_files.MANUAL)]
    shown = subprocess.run(command, capture_output=True, text=True, check=True)
    assert shown.stderr == ""
    assert "--num_diffusion_steps" in shown.stdout.replace("\u2010", "-").replace("\u2212", "-")
