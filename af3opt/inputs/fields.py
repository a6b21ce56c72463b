"""Fields of JSON objects: present, of the right type, and none that nobody reads."""

import difflib
from collections.abc import Collection, Mapping
from typing import TypeGuard

from af3opt.base.json_types import Json
from af3opt.inputs.findings import Place, shown, type_name


def check_fields(
    content: Mapping[str, Json], allowed: Collection[str], required: Collection[str], place: Place
) -> None:
    """Reports fields that are missing, and those that the engine does not know.

    Args:
        content: The object.
        allowed: Names the engine reads.
        required: Names that must be there.
        place: Place of the object.
    """
    for name in required:
        if name not in content:
            place.refuse(f"the field {name!r} is missing")
    for name in content:
        if name not in allowed:
            near = difflib.get_close_matches(name, allowed, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else "; remove it"
            place.refuse(f"the field {shown(name)} is not known{hint}")


def as_list(value: Json, place: Place) -> list[Json]:
    """Returns a list as it is; reports anything else and returns an empty one."""
    if isinstance(value, list):
        return value
    place.refuse(f"give a list, not {type_name(value)}")
    return []


def is_integer(value: Json) -> TypeGuard[int]:
    """Tells whether a JSON value is a whole number; true and false are none."""
    return isinstance(value, int) and not isinstance(value, bool)


def optional_text(content: Mapping[str, Json], name: str, place: Place) -> str | None:
    """Returns a text that may be absent or null; reports a value of another type."""
    value = content.get(name)
    if value is not None and not isinstance(value, str):
        place.inside(name).refuse(f"give a text, not {type_name(value)}")
        return None
    return value


def check_description(content: Mapping[str, Json], place: Place) -> None:
    """Reports a description that the engine cannot write back."""
    if isinstance(content.get("description"), list | dict):
        place.inside("description").refuse("give a text")
