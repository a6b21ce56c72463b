"""Text from files and names made harmless for a terminal or a spreadsheet."""

import unicodedata

# Direction overrides make text read as something else; separators begin a line unseen.
_UNWANTED = ("Cc", "Zl", "Zp")
_DIRECTIONS = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")

# A cell that starts like this is run as a formula by spreadsheets.
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def visible(text: str, *, keep: str = "") -> str:
    r"""Writes control characters as escapes such as `\x1b`: a terminal would obey them.

    A job's name, a file's name or an error may hold what a stranger has typed.

    Args:
        text: Any text.
        keep: Control characters to leave as they are, such as a line's end.

    Returns:
        The same text if it holds none.
    """
    if text.isprintable():
        return text
    return "".join(
        character if character in keep or not _is_unwanted(character) else _escaped(character)
        for character in text
    )


def inert_cell(text: str) -> str:
    """Puts an apostrophe before a cell's text that a spreadsheet would run as a formula."""
    return f"'{text}" if text.startswith(_FORMULA_STARTS) else text


def _is_unwanted(character: str) -> bool:
    return character in _DIRECTIONS or unicodedata.category(character) in _UNWANTED


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
