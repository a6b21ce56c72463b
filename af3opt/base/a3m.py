"""Alignments in A3M text: upper case and gaps are columns, lower case are insertions."""

import string
from collections.abc import Iterator

# White space around lines, which does not count.
WHITE = " \t\n\r\v\f"
# For `str.translate`: what is left of a row are its columns.
NO_INSERTIONS = str.maketrans("", "", string.ascii_lowercase)


def read_a3m(text: str) -> Iterator[tuple[str, str]]:
    """Yields (description, row) of A3M text as the engine's reader does.

    What comes before the first `>` is not part of it; white space around lines does not
    count.
    """
    description: str | None = None
    parts: list[str] = []
    for line in text.split("\n"):
        stripped = line.strip(WHITE)
        if stripped.startswith(">"):
            if description is not None:
                yield description, "".join(parts)
            description, parts = stripped[1:], []
        elif description is not None:
            parts.append(stripped)
    if description is not None:
        yield description, "".join(parts)
