"""Every option with its value type, and how values are read from text and TOML.

Flags, AF3OPT_* variables and presets share these readers, so a value means the
same wherever it is written.
"""

import dataclasses
import datetime
import enum
import functools
import math
import os
import types
import typing
from collections.abc import Callable, Mapping
from pathlib import Path

from af3opt.settings.field import Names, OptionSpec, Value, spec_of
from af3opt.settings.own import OwnOptions
from af3opt.settings.upstream import UpstreamOptions

VARIABLE_PREFIX = "AF3OPT_"


class Kind(enum.Enum):
    """Value types an option can have; the text names it in `--help`."""

    BOOLEAN = "true or false"
    INTEGER = "integer"
    FLOAT = "number"
    STRING = "text"
    PATH = "path"
    STRINGS = "path, repeatable"
    INTEGERS = "comma-separated integers"
    NAMES = "comma-separated names"


_KINDS: dict[object, Kind] = {
    bool: Kind.BOOLEAN,
    int: Kind.INTEGER,
    float: Kind.FLOAT,
    str: Kind.STRING,
    Path: Kind.PATH,
    tuple[str, ...]: Kind.STRINGS,
    tuple[int, ...]: Kind.INTEGERS,
    Names: Kind.NAMES,
}

# The spellings absl accepts for a boolean flag.
_TRUE = ("true", "t", "1")
_FALSE = ("false", "f", "0")


@dataclasses.dataclass(frozen=True, slots=True)
class Option:
    """One option, as flags, variables, presets and `--help` need it.

    Attributes:
        name: Flag name, TOML key and field name.
        kind: Value type.
        optional: True when None ("unset") is a value.
        spec: The declaration.
        default: Computes the default.
    """

    name: str
    kind: Kind
    optional: bool
    spec: OptionSpec
    default: Callable[[], Value]

    @property
    def variable(self) -> str:
        """Name of its environment variable."""
        return VARIABLE_PREFIX + self.name.upper()

    def from_text(self, text: str) -> Value:
        """Reads a value written as a flag or variable; an empty text unsets an optional one.

        Raises:
            ValueError: the text is no valid value; the message says why.
        """
        if not text and self.optional:
            return None
        return self._checked(_READERS[self.kind](text))

    def from_texts(self, texts: list[str]) -> Value:
        """Reads the values of a repeated flag; see `from_text`."""
        return self._checked(tuple(_read_path_text(text) for text in texts))

    def from_toml(self, value: Value) -> Value:
        """Reads a value of a TOML preset.

        Raises:
            ValueError: wrong type or not allowed; the message says why.
        """
        if self.kind is Kind.STRINGS and isinstance(value, list):
            return self.from_texts([_of_type(str, item) for item in value])
        if self.kind is Kind.INTEGERS and isinstance(value, list):
            if not value:
                raise ValueError("must not be an empty list")
            return self._checked(tuple(_of_type(int, item) for item in value))
        if self.kind is Kind.NAMES and isinstance(value, list):
            return self.from_text(",".join(_of_type(str, item) for item in value))
        if self.kind is Kind.BOOLEAN:
            return _of_type(bool, value)
        if self.kind is Kind.INTEGER:
            return self._checked(_of_type(int, value))
        if self.kind is Kind.FLOAT:
            return self._checked(_finite(float(_of_type((int, float), value))))
        if type(value) is datetime.date:  # TOML reads an unquoted 2021-09-30 as a date
            value = value.isoformat()
        return self.from_text(_of_type(str, value))

    def to_text(self, value: Value) -> str:
        """Writes a value so that `from_text` reads it back; unset is the empty text."""
        match value:
            case None:
                return ""
            case bool():
                return "true" if value else "false"
            case tuple():
                separator = os.pathsep if self.kind is Kind.STRINGS else ","
                return separator.join(map(str, value))
        return str(value)

    def _checked(self, value: Value) -> Value:
        choices, lower = self.spec.choices, self.spec.lower_bound
        if choices is not None and value not in choices:
            raise ValueError(f"must be one of {', '.join(choices)}")
        if lower is not None and value < lower:
            raise ValueError(f"must be at least {lower:g}")
        problem = self.spec.check(value) if self.spec.check else None
        if problem:
            raise ValueError(problem)
        return value


def _read_boolean(text: str) -> bool:
    lowered = text.lower()
    if lowered in _TRUE:
        return True
    if lowered in _FALSE:
        return False
    raise ValueError("must be true or false")


def _read_integer(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ValueError("must be an integer") from None


def _read_float(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise ValueError("must be a number") from None
    return _finite(value)


def _finite(value: float) -> float:
    if not math.isfinite(value):
        raise ValueError("must be a finite number")
    return value


def _read_text(text: str) -> str:
    if not text:
        raise ValueError("must not be empty")
    return text


def _read_path_text(text: str) -> str:
    """Expands `~`, which a shell leaves alone inside `--flag=~/x` and TOML has no notion of."""
    return os.path.expanduser(_read_text(text))  # noqa: PTH111 (Path would normalise URLs and ./)


def _read_integers(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise ValueError("must be comma-separated integers") from None


def _read_names(text: str) -> tuple[str, ...]:
    names = tuple(part.strip() for part in text.split(",")) if text.strip() else ()
    if not all(names):
        raise ValueError("must be comma-separated names")
    return names


_READERS: Mapping[Kind, Callable[[str], Value]] = {
    Kind.BOOLEAN: _read_boolean,
    Kind.INTEGER: _read_integer,
    Kind.FLOAT: _read_float,
    Kind.STRING: _read_text,
    Kind.PATH: lambda text: Path(_read_path_text(text)),
    Kind.STRINGS: lambda text: tuple(_read_path_text(part) for part in text.split(os.pathsep)),
    Kind.INTEGERS: _read_integers,
    Kind.NAMES: _read_names,
}

_TOML_NAMES: dict[object, str] = {bool: "true or false", int: "an integer", str: "a string"}


def _of_type(expected: type | tuple[type, ...], value: Value) -> Value:
    """Returns `value` if it has the type; a TOML boolean is never taken for an integer."""
    wrong_boolean = isinstance(value, bool) and expected is not bool
    if wrong_boolean or not isinstance(value, expected):
        raise ValueError(f"must be {_TOML_NAMES.get(expected, 'a number')}")
    return value


def _option(field: "dataclasses.Field[Value]") -> Option:
    alternatives = typing.get_args(field.type) if isinstance(field.type, types.UnionType) else ()
    optional = type(None) in alternatives
    plain = next(t for t in alternatives if t is not type(None)) if optional else field.type
    default = field.default_factory
    if default is dataclasses.MISSING:
        default = functools.partial(_constant, field.default)
    return Option(field.name, _KINDS[plain], optional, spec_of(field), default)


def _constant(value: Value) -> Value:
    return value


@functools.cache
def all_options() -> Mapping[str, Option]:
    """Returns every option by name: upstream's first, then af3opt's own, as declared."""
    fields = (*dataclasses.fields(UpstreamOptions), *dataclasses.fields(OwnOptions))
    return types.MappingProxyType({field.name: _option(field) for field in fields})
