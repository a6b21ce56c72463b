"""absl's own flags, which run_alphafold.py takes beside its own ones.

They say where and how much absl logs. af3opt logs to standard error, whatever they say;
how much it logs follows `--verbosity`. A site's own script gets all of them as given.
"""

from absl import flags

from af3opt.settings.field import Value

_SWITCHES = ("logtostderr", "alsologtostderr", "showprefixforinfo")
# Those with a value, and why they do nothing here.
_WITHOUT_EFFECT = {
    "log_dir": "af3opt logs to standard error; add 2>FILE to the command for a file",
    "stderrthreshold": "all of the log goes to standard error; --quiet leaves out what is routine",
    "logger_levels": "--debug shows the messages of every library",
}
_VERBOSITY = "verbosity"
_LEVELS = {"fatal": -3, "error": -2, "warning": -1, "warn": -1, "info": 0, "debug": 1}


def define_absl_flags(parser: flags.FlagValues) -> None:
    """Defines them on a parser of its own, as texts."""
    for name in _SWITCHES:
        flags.DEFINE_boolean(name, None, "", flag_values=parser)
    for name in _WITHOUT_EFFECT:
        flags.DEFINE_string(name, None, "", flag_values=parser)
    flags.DEFINE_string(_VERBOSITY, None, "", short_name="v", flag_values=parser)


def given_absl_flags(parser: flags.FlagValues) -> tuple[str, ...]:
    """Returns those that a parsed command line has, each as it can be given again."""
    names = (*_SWITCHES, *_WITHOUT_EFFECT, _VERBOSITY)
    return tuple(
        f"--{name}={str(parser[name].value).lower() if name in _SWITCHES else parser[name].value}"
        for name in names
        if parser[name].present
    )


def verbosity_settings(parser: flags.FlagValues) -> dict[str, Value]:
    """Returns the settings that `--verbosity` stands for.

    Raises:
        ValueError: it is neither a number nor the name of a level.
    """
    text = parser[_VERBOSITY].value
    if text is None:
        return {}
    try:
        level = int(_LEVELS.get(text.lower(), text))
    except ValueError:
        names = ", ".join(name for name in _LEVELS if name != "warn")
        raise ValueError(f"--verbosity={text}: must be an integer or one of {names}") from None
    if level == 0:
        return {}
    return {"debug": True} if level > 0 else {"quiet": True}


def absl_remarks(parser: flags.FlagValues) -> tuple[str, ...]:
    """Returns a line for each flag that was given and does nothing in af3opt's own runner."""
    return tuple(
        f"--{name} has no effect: {reason}"
        for name, reason in _WITHOUT_EFFECT.items()
        if parser[name].present
    )
