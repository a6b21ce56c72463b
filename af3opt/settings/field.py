"""How one option is declared."""

import dataclasses
from collections.abc import Callable
from typing import Any, Required, TypedDict, Unpack

# The value of an option; which type it has is known by the option's kind alone.
type Value = Any
# Several names in one value, written with commas between them.
type Names = tuple[str, ...]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class OptionSpec:
    """What flags, presets, `--help` and the reference need to know of an option.

    Attributes:
        help: One or more sentences for `--help`.
        group: Heading it is listed under.
        upstream: True when `run_alphafold.py` has a flag of this name.
        choices: Allowed values, or None for any.
        lower_bound: Smallest allowed number, or None.
        default_text: Shown instead of the default's repr, for computed defaults.
        affects_results: True when another value can change what is written, so
            that finished work under another value is not "already done".
        check: Says what is wrong with a value of the right type, or returns None.
    """

    help: str
    group: str
    upstream: bool = False
    choices: tuple[str, ...] | None = None
    lower_bound: float | None = None
    default_text: str | None = None
    affects_results: bool = False
    check: Callable[[Value], str | None] | None = None


_METADATA_KEY = "af3opt"


class _Traits(TypedDict, total=False):
    """What `option` takes by name; see `OptionSpec`."""

    group: Required[str]
    upstream: bool
    choices: tuple[str, ...] | None
    lower_bound: float | None
    default_text: str | None
    affects_results: bool
    check: Callable[[Value], str | None] | None


def option(default: Value, help_text: str, **traits: Unpack[_Traits]) -> Value:
    """Declares a dataclass field as an option; a callable `default` is evaluated late."""
    metadata = {_METADATA_KEY: OptionSpec(help=help_text, **traits)}
    if isinstance(default, Callable):  # type: ignore[arg-type]
        return dataclasses.field(default_factory=default, metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


def spec_of(field: "dataclasses.Field[Value]") -> OptionSpec:
    """Returns the declaration behind a dataclass field."""
    spec = field.metadata[_METADATA_KEY]
    assert isinstance(spec, OptionSpec)
    return spec
