"""A small reader for single categories of an mmCIF file.

Written for files of any origin: values may be bare, quoted or semicolon-delimited
text; a category may be a loop or single items; a file may end in the middle of a
row (that row is dropped). Grammar: CIF 1.1, International Tables vol. G, 2.2.7.
"""

import re
from collections.abc import Iterator

from af3opt.base.plain_text import text_lines

# A quoted value ends at its quote only before white space (`'O5' is a value`).
_TOKEN = re.compile(r"""'((?:[^'\n]|'(?=\S))*)'(?=\s|$)|"((?:[^"\n]|"(?=\S))*)"(?=\s|$)|(\S+)""")
# Quotes, comments, and what every structural word has.
_ANYTHING_BUT_VALUES = re.compile("['\"#_]")
_RESERVED = ("loop_", "stop_", "global_")


def _tokens_of_line(line: str) -> Iterator[tuple[str, bool]]:
    """Yields (value, was quoted) for each value on a line, up to a comment."""
    for match in _TOKEN.finditer(line):
        single, double, bare = match.groups()
        if bare is None:
            yield (single if single is not None else double), True
        elif bare.startswith("#"):
            return
        else:
            yield bare, False


def _lines(text: str) -> Iterator[tuple[list[str], list[tuple[str, bool]]]]:
    """Yields what the file holds in order, some values at a time.

    Yields:
        Values of a line on which nothing else can be, which are most lines of a file; and
        (value, was quoted) of any other. One of the two lists is empty.
    """
    block: list[str] | None = None
    for line in text_lines(text):
        if block is not None:
            if line.startswith(";"):
                yield [], [("\n".join(block), True), *_tokens_of_line(line[1:])]
                block = None
            else:
                block.append(line)
        elif line.startswith(";"):
            block = [line[1:]]
        elif _ANYTHING_BUT_VALUES.search(line):
            yield [], list(_tokens_of_line(line))
        else:
            yield line.split(), []


def read_category(text: str, category: str) -> dict[str, list[str]]:
    """Returns the columns of one category of the first data block that has it.

    Args:
        text: Content of an mmCIF file.
        category: Category without the dot, such as "_atom_site".

    Returns:
        Item name without the category (such as "Cartn_x") to its values, all of
        one length; empty when the file has no such category.
    """
    prefix = category.lower() + "."
    # Files of AlphaFold 3 are mostly atom_site; the rest is skipped quickly.
    start = text.lower().find("\n" + prefix)
    if start < 0:
        return {}
    loop = text.rfind("loop_", 0, start + 1)
    looped = loop >= 0 and not text[loop + 5 : start].strip()
    return _read_loop(text[start:], prefix) if looped else _read_items(text[start:], prefix)


def _is_structural(token: str) -> bool:
    """Tells whether an unquoted token starts something new."""
    lowered = token.lower()
    return token.startswith("_") or lowered in _RESERVED or lowered.startswith(("data_", "save_"))


def _read_loop(text: str, prefix: str) -> dict[str, list[str]]:
    """Reads a loop whose header starts `text`."""
    names: list[str] = []
    values: list[str] = []
    for plain, tokens in _lines(text):
        values += plain
        for token, quoted in tokens:
            if quoted or not _is_structural(token):
                values.append(token)
            elif values or not token.lower().startswith(prefix):
                return _columns(names, values)
            else:
                names.append(token[len(prefix) :])
    return _columns(names, values)


def _columns(names: list[str], values: list[str]) -> dict[str, list[str]]:
    """Deals values out to columns; those of an unfinished row are dropped."""
    width = len(names)
    end = len(values) // width * width if width else 0
    return {name: values[i:end:width] for i, name in enumerate(names)}


def _all_tokens(text: str) -> Iterator[tuple[str, bool]]:
    """Yields (value, was quoted) for every value of the file in order."""
    for plain, tokens in _lines(text):
        yield from ((value, False) for value in plain)
        yield from tokens


def _read_items(text: str, prefix: str) -> dict[str, list[str]]:
    """Reads consecutive `_category.item value` pairs that start `text`."""
    columns: dict[str, list[str]] = {}
    name: str | None = None
    for token, quoted in _all_tokens(text):
        if name is not None:
            columns[name] = [token]
            name = None
        elif not quoted and token.lower().startswith(prefix):
            name = token[len(prefix) :]
        else:
            break
    return columns
