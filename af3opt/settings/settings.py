"""Resolves every setting: flags > AF3OPT_* variables > preset > default.

Flags have absl's syntax, as upstream's do, but are parsed with a private
`FlagValues`: importing upstream's script registers the same names globally.
"""

import dataclasses
import difflib
import types
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from absl import flags

from af3opt.base.errors import UsageError
from af3opt.settings.absl_flags import (
    absl_remarks,
    define_absl_flags,
    given_absl_flags,
    verbosity_settings,
)
from af3opt.settings.catalogue import VARIABLE_PREFIX, Kind, Option, all_options
from af3opt.settings.field import Value
from af3opt.settings.own import OwnOptions
from af3opt.settings.presets import load_preset
from af3opt.settings.upstream import UpstreamOptions

# AF3OPT_ variables that are no settings: read before settings exist, or by scripts/.
_OTHER_VARIABLES = frozenset(
    {
        "AF3OPT_HOME",
        "AF3OPT_PREPARED_DIR",
        "AF3OPT_PYTHON",
        "AF3OPT_TEST_HOME",
        "AF3OPT_FULL_TESTS",
        "AF3OPT_FULL_TESTS_WITHIN",
        "AF3OPT_SEARCH_ISA",
    }
)

_SCRIPT_ALIAS = "AF3OPT_SCRIPT"

# Settings that say what is run, of which a site's own script knows nothing.
_OWN_RUNNER_ONLY = (
    *("input_list", "recursive", "shard", "array", "dry_run"),
    *("gpus", "cpu_workers", "num_diffusion_steps"),
)

# Flags by which other programs search with the server of ColabFold; they mean sending sequences.
_OF_SERVERS = frozenset({"use_msa_server", "msa_server_url", "msa_mode", "host_url"})

# Names that sites already export for AlphaFold 3; they rank between AF3OPT_* and presets.
_SITE_VARIABLES = {"model_dir": "AF3_MODEL_PARAMETERS_DIR", "db_dir": "AF3_DATABASES_DIR"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings(UpstreamOptions, OwnOptions):
    """All settings of one run.

    Attributes:
        sources: Setting name -> where its value came from: "flag", a variable's
            name, "preset NAME" or "default".
        preset_environment: The presets' `[environment]` tables.
        absl_flags: absl's own flags as given, for a site's script.
        remarks: What is to be said of the command line and the environment, a line each.
    """

    sources: Mapping[str, str] = dataclasses.field(default_factory=dict)
    preset_environment: Mapping[str, str] = dataclasses.field(default_factory=dict)
    absl_flags: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class _Layer:
    """The settings that one source gives, each with its value and origin."""

    values: Mapping[str, tuple[Value, str]]
    remarks: tuple[str, ...] = ()


def resolve_settings(argv: Sequence[str], environ: Mapping[str, str]) -> Settings:
    """Merges all sources of settings.

    Args:
        argv: Flags after `af3opt run`.
        environ: Environment variables.

    Raises:
        UsageError: an unknown flag or preset key, or a value that is not allowed.
    """
    parser = _parse_flags(argv)
    from_flags = _read_flags(parser)
    variables = _read_variables(environ)
    values: dict[str, Value] = {}
    sources: dict[str, str] = {}

    def take(layer: Mapping[str, tuple[Value, str]]) -> None:
        for name, (value, source) in layer.items():
            values[name], sources[name] = value, source

    take({name: (option.default(), "default") for name, option in all_options().items()})
    preset_environment: dict[str, str] = {}
    # The site's preset first: it holds for what the user's own does not say.
    for config in (variables.values.get("config"), from_flags.values.get("config")):
        if config is not None and config[0] is not None:
            preset = load_preset(config[0])
            preset_environment |= preset.environment
            take(_read_preset(preset.name, preset.settings))
    take(_read_site_variables(environ))
    take(variables.values)
    take(from_flags.values)
    return Settings(
        **values,
        sources=types.MappingProxyType(sources),
        preset_environment=types.MappingProxyType(preset_environment),
        absl_flags=given_absl_flags(parser),
        remarks=(*variables.remarks, *from_flags.remarks),
    )


def check_run_settings(settings: Settings) -> None:
    """Checks what a run needs beyond each value being valid on its own, as upstream does.

    Raises:
        UsageError: input, output or stages are missing or contradict each other.
    """
    if (
        sum(x is not None for x in (settings.json_path, settings.input_dir, settings.input_list))
        != 1
    ):
        raise UsageError("give exactly one of --json_path and --input_dir (or --input_list)")
    if settings.json_path is not None and not settings.json_path.is_file():
        reason = "is not a file" if settings.json_path.exists() else "no such file"
        raise UsageError(f"--json_path={settings.json_path}: {reason}")
    if settings.input_dir is not None and not settings.input_dir.is_dir():
        raise UsageError(f"--input_dir={settings.input_dir}: no such directory")
    if settings.gpus is not None and settings.cpu_workers is not None:
        raise UsageError("--gpus and --cpu_workers contradict each other; give one")
    if settings.run_alphafold_script is not None:
        _check_script_settings(settings)
    elif settings.script_flags is not None:
        raise UsageError("--script_flags needs --run_alphafold_script: give it, or leave both out")
    if settings.output_dir is None:
        raise UsageError("--output_dir is required: give the directory for the results")
    if not (settings.run_data_pipeline or settings.run_inference):
        raise UsageError(
            "--run_data_pipeline and --run_inference are both false: nothing to do; set one to true"
        )
    if settings.debug and settings.quiet:
        raise UsageError("--debug and --quiet contradict each other; give one")


def _check_script_settings(settings: Settings) -> None:
    for name in _OWN_RUNNER_ONLY:
        if getattr(settings, name) not in (None, False):
            raise UsageError(
                f"--{name} needs af3opt's own runner: leave it out, or --run_alphafold_script "
                "(which runs the site's script as it is)"
            )


def format_settings(settings: Settings) -> str:
    """Returns a table of every setting and where its value came from, one line each."""
    options = all_options()
    shown = {name: _shown(option, getattr(settings, name)) for name, option in options.items()}
    name_width = max(map(len, shown))
    # One very long value must not push every other line's source off the screen.
    value_width = min(max(map(len, shown.values())), 50)
    lines = (
        f"{name:<{name_width}} = {text:<{value_width}}  # {settings.sources.get(name, 'default')}"
        for name, text in shown.items()
    )
    return "\n".join(lines) + "\n"


def _shown(option: Option, value: Value) -> str:
    return "(unset)" if value is None else option.to_text(value)


def _parse_flags(argv: Sequence[str]) -> flags.FlagValues:
    """Splits a command line into flags; their values are still texts."""
    parser = _define_flags(all_options().values())
    define_absl_flags(parser)
    try:
        leftover = parser(["af3opt", *argv])[1:]
    except flags.UnrecognizedFlagError as error:
        if error.flagname.replace("-", "_").removeprefix("no") in _OF_SERVERS:
            raise UsageError(
                f"--{error.flagname}: af3opt sends no sequence to a server. Search on this "
                "machine, or put alignments from elsewhere into the input (unpairedMsa, "
                "unpairedMsaPath) and give --norun_data_pipeline. A script of yours that has the "
                "flag takes it by --run_alphafold_script and --script_flags"
            ) from error
        raise _unknown(f"flag --{error.flagname}", error.flagname, all_options(), "--") from error
    except flags.IllegalFlagValueError as error:  # only booleans are read by absl itself
        raise UsageError(
            f"{str(error).partition(':')[0].replace('flag ', '')}: must be true or false"
        ) from error
    except flags.Error as error:
        raise UsageError(" ".join(str(error).removeprefix("ERROR:: ").split())) from error
    if leftover:
        raise UsageError(
            f"unexpected argument {leftover[0]!r}: flags are written --name=value "
            "(a boolean takes =true or =false)"
        )
    return parser


def _read_flags(parser: flags.FlagValues) -> _Layer:
    try:
        given = {name: (value, "flag") for name, value in verbosity_settings(parser).items()}
    except ValueError as error:
        raise UsageError(str(error)) from error
    for name, option in all_options().items():
        flag = parser[name]
        if not flag.present:
            continue
        read = option.from_texts if option.kind is Kind.STRINGS else option.from_text
        text = option.to_text(flag.value) if option.kind is Kind.BOOLEAN else flag.value
        given[name] = (_read(read, text, f"--{name}={flag.value}"), "flag")
    script = given.get("run_alphafold_script", (None, ""))[0]
    return _Layer(given, () if script else absl_remarks(parser))


def _define_flags(options: Iterable[Option]) -> flags.FlagValues:
    """Defines absl flags that only split argv; `Option` reads the values."""
    parser = flags.FlagValues()
    for option in options:
        match option.kind:
            case Kind.BOOLEAN:
                define: Callable[..., Any] = flags.DEFINE_boolean
            case Kind.STRINGS:
                define = flags.DEFINE_multi_string
            case _:
                define = flags.DEFINE_string
        define(option.name, None, option.spec.help, flag_values=parser)
    return parser


def _read_variables(environ: Mapping[str, str]) -> _Layer:
    """Reads AF3OPT_* variables; an empty one counts as not set.

    One that is no setting gets a remark: environment modules set variables of their own.
    """
    by_variable = {option.variable: option for option in all_options().values()}
    script = by_variable[f"{VARIABLE_PREFIX}RUN_ALPHAFOLD_SCRIPT"]
    given: dict[str, tuple[Value, str]] = {}
    remarks = []
    for variable, text in environ.items():
        if not variable.startswith(VARIABLE_PREFIX) or variable in _OTHER_VARIABLES or not text:
            continue
        alias = variable == _SCRIPT_ALIAS
        option = script if alias else by_variable.get(variable)
        if option is None:
            valid = {*by_variable, _SCRIPT_ALIAS, *_OTHER_VARIABLES}
            remarks.append(
                f"environment variable {variable} has no effect: there is no such setting; the "
                f"nearest is {_nearest(variable, valid)}"
            )
            continue
        if alias and environ.get(script.variable):
            continue
        given[option.name] = (_read(option.from_text, text, f"{variable}={text}"), variable)
    return _Layer(given, tuple(remarks))


def _read_site_variables(environ: Mapping[str, str]) -> dict[str, tuple[Value, str]]:
    given = {}
    for name, variable in _SITE_VARIABLES.items():
        text = environ.get(variable)
        if text:
            value = _read(all_options()[name].from_text, text, f"{variable}={text}")
            given[name] = (value, variable)
    return given


def _read_preset(preset: str, content: Mapping[str, Value]) -> dict[str, tuple[Value, str]]:
    options = {name: option for name, option in all_options().items() if name != "config"}
    given = {}
    for name, value in content.items():
        if name not in options:
            raise _unknown(f"preset {preset}: setting {name}", name, [*options, "environment"])
        read = options[name].from_toml
        given[name] = (_read(read, value, f"preset {preset}: {name}"), f"preset {preset}")
    return given


def _read(reader: Callable[[Value], Value], value: Value, where: str) -> Value:
    try:
        return reader(value)
    except ValueError as error:
        raise UsageError(f"{where}: {error}") from error


def _unknown(what: str, name: str, valid: Iterable[str], prefix: str = "") -> UsageError:
    return UsageError(
        f"{what} is unknown; the nearest valid one is {prefix}{_nearest(name, valid)}"
    )


def _nearest(name: str, valid: Iterable[str]) -> str:
    return difflib.get_close_matches(name, valid, n=1, cutoff=0.0)[0]
