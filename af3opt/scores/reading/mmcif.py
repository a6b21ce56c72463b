"""A small reader for single categories of an mmCIF file.

Written for files of any origin: values may be bare, quoted or semicolon-delimited
text; a category may be a loop or single items; a file may end in the middle of a
row (that row is dropped). Grammar: CIF 1.1, International Tables vol. G, 2.2.7.
"""

import re
from collections.abc import Iterator

# A quoted value ends at its quote only before white space (`'O5' is a value`).
_TOKEN = re.compile(r"""'((?:[^'\n]|'(?=\S))*)'(?=\s|$)|"((?:[^"\n]|"(?=\S))*)"(?=\s|$)|(\S+)""")
_RESERVED = ("loop_", "stop_", "global_")


def _tokens_of_line(line: str) -> Iterator[tuple[str, bool]]:
    """Yields (value, was quoted) for each value on a line, up to a comment."""
    if "'" not in line and '"' not in line and "#" not in line:
        for word in line.split():
            yield word, False
        return
    for match in _TOKEN.finditer(line):
        single, double, bare = match.groups()
        if bare is None:
            yield (single if single is not None else double), True
        elif bare.startswith("#"):
            return
        else:
            yield bare, False


def _tokens(text: str) -> Iterator[tuple[str, bool]]:
    """Yields (value, was quoted) for every value of the file in order."""
    block: list[str] | None = None
    for line in text.splitlines():
        if block is not None:
            if line.startswith(";"):
                yield "\n".join(block), True
                block = None
                yield from _tokens_of_line(line[1:])
            else:
                block.append(line)
        elif line.startswith(";"):
            block = [line[1:]]
        else:
            yield from _tokens_of_line(line)


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
    for token, quoted in _tokens(text):
        if not quoted and _is_structural(token):
            if values or not token.lower().startswith(prefix):
                break
            names.append(token[len(prefix) :])
        else:
            values.append(token)
    rows = len(values) // len(names) if names else 0
    width = len(names)
    return {name: values[i : rows * width : width] for i, name in enumerate(names)}


def _read_items(text: str, prefix: str) -> dict[str, list[str]]:
    """Reads consecutive `_category.item value` pairs that start `text`."""
    columns: dict[str, list[str]] = {}
    name: str | None = None
    for token, quoted in _tokens(text):
        if name is not None:
            columns[name] = [token]
            name = None
        elif not quoted and token.lower().startswith(prefix):
            name = token[len(prefix) :]
        else:
            break
    return columns
