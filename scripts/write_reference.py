"""Writes docs/reference.md from the options and from what the commands say of themselves."""

import contextlib
import io
import itertools
import os
import sys
from pathlib import Path

from af3opt.benchmarks.markdown_rows import table_head, table_row
from af3opt.cli import command_names, command_summary
from af3opt.cli import main as main_of_cli
from af3opt.settings.catalogue import Option, all_options

DOCUMENT = Path(__file__).parent.parent / "docs" / "reference.md"

_HEAD = """\
# Reference

<!-- Written by scripts/write_reference.py; change the options, not this file. -->

## Commands

{commands}

`af3opt help COMMAND` describes each command, as [below](#commands-in-detail). Flags without a
command mean `af3opt run`; its flags come first on this page.

## Priority of flags, variables and presets

A setting comes from the first of these that has it:

1. the flag;
2. the variable `AF3OPT_<FLAG>` (the flag's name in capitals);
3. `AF3_MODEL_PARAMETERS_DIR` (for `--model_dir`) and `AF3_DATABASES_DIR` (for `--db_dir`);
4. the preset of `--config`;
5. the preset of the variable `AF3OPT_CONFIG`;
6. the default.

So a site can set its paths in `AF3OPT_CONFIG`, and a user's own preset adds to them.
`af3opt run --print_settings` shows every value and its origin.

A preset is a TOML file with settings by their names. It can have a table `[environment]` with
environment variables. Give presets of `configs/` without their path.

Other variables:

- `AF3OPT_HOME`: the directory for everything that af3opt keeps.
- `AF3OPT_SCRIPT`: short for `AF3OPT_RUN_ALPHAFOLD_SCRIPT`.
- An `AF3OPT_` variable that is not a setting has no effect; the log says so.

## Syntax of flags

Flags have absl's syntax: `--flag=value`, `--flag value`, `--flag`, `--noflag`,
`--flagfile=FILE`. absl's own flags for logging are accepted: `--verbosity` (1 is `--debug`, -1 is
`--quiet`), `--logtostderr`, `--alsologtostderr`, `--log_dir` and others. The log always goes to
standard error. `--helpshort` and `--helpfull` are the same as `--help`.
"""


def reference() -> str:
    """Returns the text of the document."""
    rows = [table_row((f"`af3opt {name}`", command_summary(name))) for name in command_names()]
    commands = "\n".join([*table_head("Command", "Purpose"), *rows])
    options = list(all_options().values())
    parts = [_HEAD.format(commands=commands)]
    for title, upstream in (("Flags of run_alphafold.py", True), ("Flags of af3opt", False)):
        parts.append(f"## {title}\n")
        chosen = [option for option in options if option.spec.upstream is upstream]
        groups = [option.spec.group for option in chosen]
        chosen.sort(key=lambda option: groups.index(option.spec.group))
        for group, members in itertools.groupby(chosen, key=lambda option: option.spec.group):
            parts.append(_table(group.removeprefix("af3opt: "), list(members)))
    parts.append("## Commands in detail\n")
    for name in command_names():
        if name != "run":
            parts.append(f"### af3opt {name}\n\n```text\n{command_help(name)}\n```\n")
    return "\n".join(parts)


def command_help(name: str) -> str:
    """Returns what `af3opt NAME --help` prints, 100 columns wide."""
    out = io.StringIO()
    width = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = "100"
    try:
        with contextlib.redirect_stdout(out), contextlib.suppress(SystemExit):
            main_of_cli([name, "--help"])
    finally:
        if width is None:
            del os.environ["COLUMNS"]
        else:
            os.environ["COLUMNS"] = width
    return out.getvalue().strip()


def _table(group: str, options: list[Option]) -> str:
    heading = group[0].upper() + group[1:]
    rows = [f"### {heading}", "", *table_head("Flag", "Values", "Default", "Meaning")]
    for option in options:
        values = ", ".join(option.spec.choices or ()) or option.kind.value
        default = option.spec.default_text or option.to_text(option.default()) or "unset"
        meaning = option.spec.help.replace("|", "\\|")
        rows.append(table_row((f"`--{option.name}`", values, default, meaning)))
    return "\n".join([*rows, ""])


def main() -> int:
    """Writes the document."""
    DOCUMENT.write_text(reference(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
