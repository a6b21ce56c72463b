"""The text of `af3opt run --help`, generated from the options."""

import itertools
import textwrap

from af3opt.settings.catalogue import Kind, Option, all_options
from af3opt.settings.own import CONFIGURATION

_WIDTH = 96
_INDENT = " " * 6

_HEAD = """\
Usage: af3opt run --json_path=FILE --output_dir=DIR [flags]
       af3opt run --input_dir=DIR --output_dir=DIR [flags]

Folds the inputs. Takes the flags of run_alphafold.py in absl syntax: --flag=value, --flag value,
--flag, --noflag, --flagfile=FILE.

A setting comes from the first of these that has it: the flag, the variable AF3OPT_<NAME>, the
preset of --config, the preset of AF3OPT_CONFIG, the default.

absl's flags for logging (--verbosity, --logtostderr and others) are accepted. The log always goes
to standard error.
"""

_OWN_HEAD = """\
==== Flags of af3opt ====
"""

_UPSTREAM_HEAD = """\
==== Flags of run_alphafold.py ====
"""


def format_run_help() -> str:
    """Returns the help: upstream's groups first, then af3opt's own."""
    parts = [_HEAD, _UPSTREAM_HEAD]
    options = sorted(all_options().values(), key=_group_rank)
    for group, members in itertools.groupby(options, key=lambda option: option.spec.group):
        if group == CONFIGURATION:
            parts.append(_OWN_HEAD)
        parts.append(f"{_heading(group)}:\n")
        parts.extend(map(_entry, members))
    return "\n".join(parts)


def _heading(group: str) -> str:
    own = group.removeprefix("af3opt: ")
    return own[0].upper() + own[1:]


def _group_rank(option: Option) -> int:
    """Orders by the first appearance of the option's group, so that groups stay whole."""
    groups = [other.spec.group for other in all_options().values()]
    return groups.index(option.spec.group)


def _entry(option: Option) -> str:
    name = f"--[no]{option.name}" if option.kind is Kind.BOOLEAN else f"--{option.name}"
    type_text = "|".join(option.spec.choices) if option.spec.choices else option.kind.value
    default = f"default: {_default_text(option)}"
    body = textwrap.wrap(option.spec.help, _WIDTH - len(_INDENT))
    body += textwrap.wrap(f"({default})", _WIDTH - len(_INDENT))
    return "\n".join([f"  {name}  <{type_text}>", *(_INDENT + line for line in body), ""])


def _default_text(option: Option) -> str:
    if option.spec.default_text is not None:
        return option.spec.default_text
    return option.to_text(option.default()) or "unset"
