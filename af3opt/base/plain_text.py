"""Text of other people: its lines, and made harmless for a terminal or a spreadsheet."""

import unicodedata

# Direction overrides make text read as something else; separators begin a line unseen, and
# characters without width make two texts look the same.
_UNWANTED = ("Cc", "Zl", "Zp")
_UNSEEN = frozenset(
    "\u200b\u2060\ufeff\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
)

# A cell that starts like this is run as a formula by spreadsheets.
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def text_lines(text: str) -> list[str]:
    r"""Splits at `\n`, `\r\n` and `\r` only.

    `str.splitlines` splits at vertical tabs, form feeds and separators of Unicode as well:
    what stands behind one in a header would become a line of its own.

    Args:
        text: Any text; a byte order mark in front of it does not count.

    Returns:
        Its lines without their ends; none of an empty text.
    """
    plain = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    lines = plain.split("\n")
    return lines if lines[-1] else lines[:-1]


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
    return character in _UNSEEN or unicodedata.category(character) in _UNWANTED


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
