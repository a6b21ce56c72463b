"""The command line: dispatch, help, exit codes, one line for every error."""

import errno
import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from af3opt import cli
from af3opt.base.errors import ExitCode, InputError
from af3opt.base.logs import Verbosity
from af3opt.base.version import __version__
from af3opt.settings.catalogue import all_options

REPOSITORY = Path(__file__).parent.parent


def run_cli(*argv, **kwargs):
    return subprocess.run(
        [sys.executable, "-m", "af3opt", *argv],
        capture_output=True,
        text=True,
        cwd=REPOSITORY,
        check=False,
        **kwargs,
    )


@pytest.fixture
def fake_command(monkeypatch):
    """Returns a function that replaces `af3opt run` by a function of argv."""

    def install(main):
        monkeypatch.setattr(importlib.import_module("af3opt.commands.run"), "main", main)

    return install


def raising(error):
    def main(argv):
        raise error

    return main


def test_every_command_has_a_summary_of_one_line():
    assert "run" in cli.command_names()
    for name in cli.command_names():
        assert cli.command_summary(name).strip()
        assert "\n" not in cli.command_summary(name)


def test_help_lists_every_command():
    shown = run_cli("--help")
    assert shown.returncode == 0
    for name in cli.command_names():
        assert f"  {name} " in shown.stdout


def test_no_arguments_is_a_usage_error_with_help():
    shown = run_cli()
    assert shown.returncode == 2
    assert "Usage:" in shown.stdout


@pytest.mark.parametrize("word", ["--version", "version"])
def test_version(word):
    assert run_cli(word).stdout == f"af3opt {__version__}\n"


def test_help_of_a_command(capsys):
    assert cli.main(["help", "doctor"]) == 0
    shown = capsys.readouterr().out
    assert cli.main(["doctor", "--help"]) == 0
    assert capsys.readouterr().out == shown
    assert cli.main(["help"]) == 0
    assert capsys.readouterr().out == cli.format_help()
    assert cli.main(["help", "statsu"]) == 2
    assert "the nearest is 'status'" in capsys.readouterr().err


@pytest.mark.parametrize("flag", ["--help", "--helpshort", "--helpfull", "-helpfull", "-h"])
def test_upstreams_ways_to_ask_for_help(flag, capsys):
    assert cli.main(["run", "--json_path=x", flag]) == 0
    assert capsys.readouterr().out.startswith("Usage: af3opt run ")


def test_a_variable_of_a_module_is_a_warning():
    environ = {**os.environ, "AF3OPT_ROOT": "/apps/af3opt"}
    shown = run_cli("run", "--print_settings", env=environ)
    assert shown.returncode == 0
    (line,) = shown.stderr.splitlines()
    assert "WARNING environment variable AF3OPT_ROOT has no effect" in line


def test_run_help_documents_every_flag_in_both_parts():
    shown = run_cli("run", "--help").stdout
    upstream, own = shown.split("==== Flags of af3opt ====")
    for name, option in all_options().items():
        part = upstream if option.spec.upstream else own
        assert f"--{name} " in part or f"--[no]{name} " in part
    assert max(map(len, shown.splitlines())) <= 100


def test_unknown_command_names_the_nearest():
    shown = run_cli("rum")
    assert shown.returncode == 2
    assert "the nearest is 'run'" in shown.stderr


@pytest.mark.parametrize("command", cli.command_names())
def test_a_wrong_flag_is_one_line_whatever_the_command(command, capsys):
    assert cli.main([command, "--no_such_flag"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("af3opt: error: ")


def test_flags_without_a_command_mean_run():
    shown = run_cli("--json_path=/no.json")
    assert shown.returncode == 2
    assert shown.stderr == "af3opt: error: --json_path=/no.json: no such file\n"


def test_debug_shows_the_traceback_wherever_it_stands():
    for argv in (["--debug", "run", "--nope"], ["run", "--nope", "--debug"]):
        shown = run_cli(*argv)
        assert shown.returncode == 2
        assert "Traceback" in shown.stderr
        assert shown.stderr.splitlines()[-1].startswith("af3opt: error: flag --nope is unknown")


def test_user_error_is_one_line_with_its_code(fake_command, capsys):
    fake_command(raising(InputError("x.json: field a\nis wrong")))
    assert cli.main(["run"]) == 2
    assert capsys.readouterr().err == "af3opt: error: x.json: field a is wrong\n"


def test_bug_is_one_line_with_a_hint(fake_command, capsys):
    fake_command(raising(KeyError("token")))
    assert cli.main(["run"]) == 1
    assert capsys.readouterr().err == (
        "af3opt: error: unexpected KeyError: 'token' (add --debug for the traceback)\n"
    )


def test_debug_variable_shows_the_traceback(fake_command, capsys, monkeypatch):
    monkeypatch.setenv("AF3OPT_DEBUG", "1")
    fake_command(raising(KeyError("token")))
    assert cli.main(["run"]) == 1
    assert "Traceback" in capsys.readouterr().err


def test_debug_reaches_commands_without_such_a_flag(monkeypatch):
    monkeypatch.setenv("AF3OPT_DEBUG", "")
    seen = []
    module = importlib.import_module("af3opt.commands.prepare")
    monkeypatch.setattr(module, "main", lambda argv: seen.append((argv, Verbosity().debug)) or 0)
    configured = []
    monkeypatch.setattr(cli, "configure_logging", configured.append)
    assert cli.main(["prepare", "--debug", "--x"]) == 0
    assert seen == [(["--x"], True)]
    assert configured == [Verbosity(debug=True)]


def test_interrupt(fake_command, capsys):
    fake_command(raising(KeyboardInterrupt()))
    assert cli.main(["run"]) == 130
    assert capsys.readouterr().err == "af3opt: error: interrupted\n"


def test_closed_pipe_is_quiet():
    # The reader is gone before the first word is written.
    command = f"{{ sleep 0.2; {sys.executable} -m af3opt run --help; echo $? >&2; }} | true"
    shown = subprocess.run(
        ["bash", "-c", command], capture_output=True, text=True, cwd=REPOSITORY, check=False
    )
    assert shown.stderr == "0\n"


def test_another_pipe_that_breaks_is_an_error(fake_command, capsys):
    fake_command(raising(BrokenPipeError(errno.EPIPE, "Broken pipe")))
    assert cli.main(["run"]) == 1
    assert "unexpected BrokenPipeError" in capsys.readouterr().err


def test_print_settings_and_print_env_need_no_input():
    settings = run_cli("run", "--print_settings", "--num_recycles=2")
    assert settings.returncode == 0
    assert "# flag" in settings.stdout
    environment = run_cli("run", "--print_env", "--jax_backend=cpu")
    assert environment.returncode == 0
    assert "export JAX_PLATFORMS=cpu" in environment.stdout


@pytest.mark.parametrize("argv", [["--help"], ["run", "--help"], ["run", "--print_settings"]])
def test_light_commands_import_no_heavy_modules(argv):
    """On a login node with a slow shared file system, imports are what a command waits for."""
    code = (
        "import sys; from af3opt.cli import main; main(sys.argv[1:]); "
        "heavy = {'jax', 'numpy', 'alphafold3', 'haiku', 'rdkit', 'rich'} & set(sys.modules); "
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    shown = subprocess.run(
        [sys.executable, "-c", code, *argv],
        capture_output=True,
        text=True,
        cwd=REPOSITORY,
        check=False,
    )
    assert shown.returncode == 0, shown.stderr


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_closed_streams_are_no_error_and_no_file(tmp_path, closed):
    """What goes to a closed stream must not land in a file that got the stream's number."""
    code = (
        "import sys; from af3opt.cli import main; code = main(['--help']); "
        "file = open('file', 'w'); file.write('kept'); file.close(); "
        "import subprocess; file = open('file', 'a'); "
        "subprocess.run(['sh', '-c', 'echo from a program; echo and more >&2']); "
        "sys.exit(code)"
    )
    completed = subprocess.run(
        ["sh", "-c", f'exec "$0" -c "$1" {closed}', sys.executable, code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert completed.returncode == 0, completed.stderr
    assert "Error" not in completed.stderr
    assert (tmp_path / "file").read_text() == "kept"


@pytest.mark.parametrize("arguments", [["--version"], ["help"], ["doctor", "--help"]])
def test_output_that_cannot_be_written_is_one_line(arguments):
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run(
            [sys.executable, "-m", "af3opt", *arguments],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            cwd=REPOSITORY,
            check=False,
        )
    assert ended.returncode == ExitCode.FAILURE
    (line,) = ended.stderr.splitlines()
    assert line.startswith("af3opt: error: standard output cannot be written: No space left")
