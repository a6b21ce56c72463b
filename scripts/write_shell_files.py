"""Writes the completion for bash and the manual page, from the commands' own help."""

import dataclasses
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from write_reference import command_help

from af3opt.base.version import __version__
from af3opt.cli import command_names, command_summary
from af3opt.settings.catalogue import Kind, all_options

PACKAGING = Path(__file__).parent.parent / "packaging"
BASH = PACKAGING / "completion" / "af3opt.bash"
MANUAL = PACKAGING / "man" / "man1" / "af3opt.1"

_WRITTEN = "Written by scripts/write_shell_files.py; change the commands' help, not this file."
_BASH = """\
# bash completion of af3opt. {written}
_af3opt() {{
  local word="${{COMP_WORDS[COMP_CWORD]}}" command="${{COMP_WORDS[1]}}" flags=""
  local run_flags="{run}"
  if ((COMP_CWORD == 1)) && [[ "$word" != -* ]]; then
    mapfile -t COMPREPLY < <(compgen -W "{commands} help version" -- "$word")
    return
  fi
  case "$command" in
    help) flags="{commands}" ;;
{cases}
  esac
  mapfile -t COMPREPLY < <(compgen -W "$flags" -- "$word")
}}
# Values are files, as far as the shell can tell.
complete -o default -o bashdefault -F _af3opt af3opt
"""
# Flags without a command are those of `run`.
_CASES = {"run": "run | -*"}
_MANUAL = """\
.\\" {written}
.TH AF3OPT 1 "" "af3opt {version}" "User commands"
.SH NAME
af3opt \\- run AlphaFold 3 on HPC clusters, with the flags of run_alphafold.py
.SH SYNOPSIS
.B af3opt
.I COMMAND
.RI [ flags ]
.br
.B af3opt help
.RI [ COMMAND ]
.br
.B af3opt version
.SH COMMANDS
{commands}
Flags without a command mean
.BR "af3opt run" .
.SH EXIT STATUS
0: everything asked for is done. 1: an unexpected error. 2: a flag, an input or the set-up is
wrong. 3: some jobs of the batch failed. 75: work is left; run the same command again. 130, 143:
interrupted, terminated.
{details}
"""


@dataclasses.dataclass(frozen=True, slots=True)
class ShownCommand:
    """A command as its help shows it."""

    name: str
    summary: str
    help: str

    @property
    def takes_run_flags(self) -> bool:
        """Whether it takes the flags of `af3opt run`, too."""
        return self.name == "run" or "flags of af3opt run" in self.help

    @property
    def flags(self) -> list[str]:
        """Its flags without their dashes, but for those of `af3opt run`."""
        found = re.findall(r"--(?:\[no\])?([a-z]\w*)", self.help)
        those_of_run = run_flags() if self.takes_run_flags else ()
        return [
            name for name in dict.fromkeys([*found, "help", "debug"]) if name not in those_of_run
        ]


def run_flags() -> list[str]:
    """The flags of `af3opt run` without their dashes; what is on by default also as --no."""
    names = []
    for option in all_options().values():
        names.append(option.name)
        if option.kind is Kind.BOOLEAN and option.default():
            names.append(f"no{option.name}")
    return names


def commands() -> list[ShownCommand]:
    """All commands, `run` first."""
    return [
        ShownCommand(name, command_summary(name), command_help(name)) for name in command_names()
    ]


def bash_completion(shown: Sequence[ShownCommand]) -> str:
    """Returns the completion for bash."""
    cases = []
    for one in shown:
        of_run = "$run_flags " if one.takes_run_flags else ""
        pattern = _CASES.get(one.name, one.name)
        cases.append(f'    {pattern}) flags="{of_run}{_dashed(one.flags)}" ;;')
    return _BASH.format(
        written=_WRITTEN,
        commands=" ".join(one.name for one in shown),
        cases="\n".join(cases),
        run=_dashed(run_flags()),
    )


def _dashed(names: Sequence[str]) -> str:
    return " ".join(f"--{name}" for name in names)


def manual_page(shown: Sequence[ShownCommand]) -> str:
    """Returns the manual page: what each command's help says, as it is."""
    listing = [f".TP\n.B {_troff(one.name)}\n{_troff(one.summary)}" for one in shown]
    details = [f".SH AF3OPT {one.name.upper()}\n.nf\n{_troff(one.help)}\n.fi" for one in shown]
    return _MANUAL.format(
        written=_WRITTEN,
        version=__version__,
        commands="\n".join([*listing, ".PP"]),
        details="\n".join(details),
    )


def _troff(text: str) -> str:
    """Protects what troff would take for a request or another character."""
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return re.sub(r"^([.'])", r"\\&\1", text, flags=re.MULTILINE)


def shell_files() -> dict[Path, str]:
    """Returns path -> text of all files."""
    shown = commands()
    return {BASH: bash_completion(shown), MANUAL: manual_page(shown)}


def main() -> int:
    """Writes the files."""
    for path, text in shell_files().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
