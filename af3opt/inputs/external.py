"""Fields that hold a text, or name a file that holds it."""

import re
from collections.abc import Mapping
from pathlib import Path

from af3opt.base.json_types import Json
from af3opt.inputs.fields import optional_text
from af3opt.inputs.findings import Place, shown
from af3opt.inputs.reading import UnusableFileError, read_text_file

# Such as gs://bucket/name, which a path below the input's directory could hardly be.
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://").match


def resolve_file(content: Mapping[str, Json], name: str, base: Path, place: Place) -> str | None:
    """Returns the text of a field, read from the file of its twin that ends in "Path".

    Args:
        content: The object with the fields.
        name: Name of the field that holds the text itself.
        base: Directory from which paths start.
        place: Place of the object.

    Returns:
        The text; None if neither field is set, or if it has been reported.
    """
    text = optional_text(content, name, place)
    path = optional_text(content, f"{name}Path", place)
    if not path:
        return text
    field = place.inside(f"{name}Path")
    if text:
        field.refuse(f"only one of {name} and {name}Path can be set")
        return None
    if _ADDRESS(path):
        # The engine opens some addresses if packages for them are installed; what is there
        # may change between a search and its second stage.
        field.refuse(f"{shown(path)} is an address, not a file; copy what is there, and name that")
        return None
    try:
        return read_text_file(base / path)
    except UnusableFileError as error:
        field.refuse(f"{shown(path)} {error}{_tried(base, path)}")
    except ValueError:
        field.refuse(f"{shown(path)} is no file name")
    return None


def _tried(base: Path, path: str) -> str:
    """Says where a relative path starts, where that may not be known."""
    return "" if Path(path).is_absolute() else f" (relative to {base.absolute()})"
