"""TOML presets: the shipped ones by name, any other by path.

A preset's top-level keys are settings named like the flags. Its optional
`[environment]` table holds variables to export, for what is not a setting.
"""

import dataclasses
import tomllib
from collections.abc import Mapping
from pathlib import Path

from af3opt.base.errors import UsageError
from af3opt.settings.field import Value

_SHIPPED = Path(__file__).parent.parent / "configs"
_ENVIRONMENT_TABLE = "environment"


@dataclasses.dataclass(frozen=True, slots=True)
class Preset:
    """A preset as read, its settings not yet checked.

    Attributes:
        name: What `--config` said; used in messages.
        settings: Setting name -> TOML value.
        environment: Variables to export.
    """

    name: str
    settings: Mapping[str, Value]
    environment: Mapping[str, str]


def shipped_presets() -> tuple[str, ...]:
    """Returns the names of the presets that come with af3opt, sorted."""
    return tuple(sorted(path.stem for path in _SHIPPED.glob("*.toml")))


def load_preset(name_or_path: str) -> Preset:
    """Reads a preset.

    Args:
        name_or_path: Name of a shipped preset, or the path of a file: anything
            with a slash or the suffix `.toml`.

    Raises:
        UsageError: no such preset, unreadable, not TOML, a null in a text, or a bad
            `[environment]`.
    """
    path = _find(name_or_path)
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise UsageError(f"--config={name_or_path}: cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:  # Also too long a number, too deep a list.
        raise UsageError(f"--config={name_or_path}: not valid TOML: {error}") from error
    if _has_null(content):
        raise UsageError(f"--config={name_or_path}: holds the character \\u0000; remove it")
    environment = content.pop(_ENVIRONMENT_TABLE, {})
    return Preset(name_or_path, content, _checked_environment(environment, name_or_path))


def _find(name_or_path: str) -> Path:
    if "/" in name_or_path or name_or_path.endswith(".toml"):
        return Path(name_or_path).expanduser()
    path = _SHIPPED / f"{name_or_path}.toml"
    if not path.is_file():
        raise UsageError(
            f"--config={name_or_path}: no such preset; shipped are {', '.join(shipped_presets())}; "
            "for a file give its path with .toml at the end"
        )
    return path


def _has_null(value: Value) -> bool:
    """Tells whether a text holds a null: no path or variable may."""
    if isinstance(value, dict):
        return any(map(_has_null, [*value, *value.values()]))
    return any(map(_has_null, value)) if isinstance(value, list) else "\0" in str(value)


def _checked_environment(table: Value, preset: str) -> dict[str, str]:
    if not isinstance(table, dict):
        raise UsageError(f"--config={preset}: environment must be a table of variables")
    for name, value in table.items():
        if not isinstance(value, str):
            raise UsageError(f"--config={preset}: environment.{name} must be a string in quotes")
    return table
