"""Settings written as the flags that give them, for processes of the same command."""

from collections.abc import Collection, Mapping

from af3opt.settings.catalogue import Kind, Option, all_options
from af3opt.settings.field import Value
from af3opt.settings.settings import Settings


def as_flags(settings: Settings, without: Collection[str] = ()) -> list[str]:
    """Returns the flags for every setting that is not at its default.

    Args:
        settings: The settings; where they came from does not matter.
        without: Settings to leave out.
    """
    flags: list[str] = []
    for name, option in all_options().items():
        if name not in without and settings.sources.get(name, "default") != "default":
            flags += as_flag(option, getattr(settings, name))
    return flags


def flags_of(values: Mapping[str, Value]) -> list[str]:
    """Returns the flags that give some settings.

    Args:
        values: By name; every one is written, also at its default.
    """
    options = all_options()
    return [flag for name, value in values.items() for flag in as_flag(options[name], value)]


def as_flag(option: Option, value: Value) -> list[str]:
    """Writes one setting as the flags that give it; lists of texts take a flag for each."""
    if option.kind is Kind.STRINGS and isinstance(value, tuple):
        return [f"--{option.name}={item}" for item in value]
    return [f"--{option.name}={option.to_text(value)}"]
