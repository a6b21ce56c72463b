"""The `af3opt` command: picks the subcommand, and turns every error into one line.

A subcommand is a module in `af3opt.commands` with a `SUMMARY` line and a
`main(argv) -> int`. Only the chosen one is imported; the summaries are read from
the source files, because some commands import JAX.
"""

import ast
import difflib
import importlib
import os
import pkgutil
import select
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

from af3opt import commands
from af3opt.base.errors import Af3optError, ExitCode, UsageError
from af3opt.base.garbage import skip_last_collection
from af3opt.base.logs import DEBUG_VARIABLE, Verbosity, configure_logging, debug_exported
from af3opt.base.plain_text import visible
from af3opt.base.standard_streams import (
    discard_output,
    flush_out,
    open_closed_streams,
    write_out,
)
from af3opt.base.version import __version__

_DEFAULT_COMMAND = "run"
_DEBUG_FLAG = "--debug"
_HELP_FLAGS = ("-h", "-help", "--help")
# Words in place of a command, which are no modules.
_HELP, _VERSION = "help", "version"


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line and returns the exit code.

    Args:
        argv: Arguments after the program's name; None takes `sys.argv`.
    """
    open_closed_streams()
    arguments = list(sys.argv[1:] if argv is None else argv)
    debug = _DEBUG_FLAG in arguments or debug_exported()
    skip_last_collection()
    try:
        code = _dispatch(arguments)
        flush_out()
        return code
    except KeyboardInterrupt:
        _complain("interrupted")
        return ExitCode.INTERRUPTED
    except Af3optError as error:
        if debug:
            traceback.print_exc()
        _complain(" ".join(str(error).split()))
        return error.exit_code
    except Exception as error:  # the last resort: a bug must still be one readable line
        if isinstance(error, BrokenPipeError) and _reader_went_away():
            discard_output()  # Not an error.
            return ExitCode.OK
        if debug:
            traceback.print_exc()
        text = " ".join(f"{type(error).__name__}: {error}".split())
        _complain(text if debug else f"unexpected {text} (add --debug for the traceback)")
        return ExitCode.FAILURE


def command_names() -> tuple[str, ...]:
    """Returns the subcommands, `run` first, the rest in alphabetical order.

    A module whose name begins with an underscore helps a subcommand; another underscore is
    a dash of the subcommand.
    """
    modules = sorted(module.name for module in pkgutil.iter_modules(commands.__path__))
    names = [name.replace("_", "-") for name in modules if not name.startswith("_")]
    return tuple(sorted(names, key=lambda name: name != _DEFAULT_COMMAND))


def command_summary(name: str) -> str:
    """Reads a subcommand's `SUMMARY` from its source file without importing it.

    Raises:
        LookupError: the module has no literal `SUMMARY` at top level.
    """
    source = Path(commands.__path__[0], f"{_module(name)}.py").read_text(encoding="utf-8")
    for node in ast.parse(source).body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        if any(isinstance(target, ast.Name) and target.id == "SUMMARY" for target in targets):
            return str(ast.literal_eval(node.value))  # type: ignore[attr-defined]
    raise LookupError(f"{name} has no SUMMARY")


def _module(command: str) -> str:
    return command.replace("-", "_")


def format_help() -> str:
    """Returns the text of `af3opt --help`."""
    width = max(map(len, command_names()))
    listing = "\n".join(f"  {name:<{width}}  {command_summary(name)}" for name in command_names())
    return (
        "Usage: af3opt COMMAND [flags]\n\n"
        "Runs AlphaFold 3 with the flags of run_alphafold.py, but faster. You can interrupt and\n"
        "continue a run at any time.\n\n"
        f"Commands:\n{listing}\n\n"
        "af3opt help COMMAND describes a command. Flags without a command mean af3opt run.\n"
        "af3opt version prints the version. --debug shows tracebacks and the engine's messages.\n"
    )


def _dispatch(arguments: list[str]) -> int:
    command, rest = _split(arguments)
    if command is None:
        if rest[:1] in ([f"--{_VERSION}"], [_VERSION]):
            write_out(f"af3opt {__version__}\n")
            return ExitCode.OK
        write_out(format_help())
        return ExitCode.OK if rest else ExitCode.USAGE
    if command not in command_names():
        nearest = difflib.get_close_matches(command, command_names(), n=1, cutoff=0.0)[0]
        raise UsageError(f"no command {command!r}; the nearest is {nearest!r} (see af3opt --help)")
    if command != _DEFAULT_COMMAND:
        # `run` has --debug among its settings; the others need not know of it, and
        # processes they start inherit the variable.
        if _DEBUG_FLAG in rest:
            rest = [argument for argument in rest if argument != _DEBUG_FLAG]
            os.environ[DEBUG_VARIABLE] = "true"
        configure_logging(Verbosity())
    module = importlib.import_module(f"{commands.__name__}.{_module(command)}")
    return int(module.main(rest))


def _split(arguments: list[str]) -> tuple[str | None, list[str]]:
    """Splits into command and its arguments; None when only help or version is wanted."""
    leading = [_DEBUG_FLAG] if arguments[:1] == [_DEBUG_FLAG] else []
    others = arguments[len(leading) :]
    if others[:1] == [_HELP] and len(others) > 1:
        return others[1], [*leading, "--help"]
    if not others or others[0] in (*_HELP_FLAGS, _HELP, f"--{_VERSION}", _VERSION):
        return None, others
    if others[0].startswith("-"):  # run_alphafold.py's habit: flags only
        return _DEFAULT_COMMAND, leading + others
    return others[0], leading + others[1:]


def _reader_went_away() -> bool:
    """Whether nobody reads stdout any more (head, less), and not another pipe."""
    try:
        poll = select.poll()
        poll.register(sys.stdout.fileno(), 0)
        return any(event & select.POLLERR for _, event in poll.poll(0))
    except (OSError, ValueError, AttributeError):  # stdout is closed or no file
        return False


def _complain(text: str) -> None:
    sys.stderr.write(f"af3opt: error: {visible(text)}\n")
