"""Settings written as the flags that give them, for processes of the same command."""

from collections.abc import Collection, Iterator

from af3opt.settings.catalogue import Kind, all_options
from af3opt.settings.settings import Settings


def as_flags(settings: Settings, without: Collection[str] = ()) -> list[str]:
    """Returns the flags for every setting that is not at its default.

    Args:
        settings: The settings; where they came from does not matter.
        without: Settings to leave out.
    """
    flags: list[str] = []
    for name, option in all_options().items():
        value = getattr(settings, name)
        if name not in without and settings.sources.get(name, "default") != "default":
            flags += _flag(name, value, option.to_text(value), repeated=option.kind is Kind.STRINGS)
    return flags


def _flag(name: str, value: object, text: str, *, repeated: bool) -> Iterator[str]:
    if repeated and isinstance(value, tuple):
        for item in value:
            yield f"--{name}={item}"
    else:
        yield f"--{name}={text}"
