"""Reads the wwPDB's component dictionary with the engine's own mmCIF parser.

The same parser that the engine's generator uses, so the result is what the
engine's pickle would hold, but a batch of blocks at a time: the whole file at
once takes gigabytes.
"""

import contextlib
import gzip
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

from af3opt.base.errors import SetupError
from af3opt.data.resources import LIBCIFPP_VARIABLE
from af3opt.engine.modules import engine_module

_BLOCK_START = b"data_"
_BATCH_BYTES = 16 << 20


def read_component_blocks(path: Path) -> Iterator[tuple[str, dict[str, list[str]]]]:
    """Yields (code, mmCIF item -> values) of each data block, items in alphabetical order.

    Args:
        path: mmCIF text, plain or gzip-compressed (by content, not by name).

    Raises:
        SetupError: the file cannot be read or parsed.
    """
    with _parser_importable():
        parse = engine_module("cpp.cif_dict").parse_multi_data_cif
    try:
        with _open_text(path) as stream:
            for batch in _batches(stream):
                # The parser's tables are unordered; sorted, equal files give equal indexes.
                for code, block in sorted(parse(batch).items()):
                    yield code, dict(sorted(block.to_dict().items()))
    except (OSError, EOFError, ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise SetupError(f"--components_cif: {path} cannot be read: {reason}") from error


@contextlib.contextmanager
def _parser_importable() -> Iterator[None]:
    """Lets the engine's compiled module be imported before its data exists.

    DeepMind's build refuses to load unless libcifpp's components.cif is found; a
    stub with one residue satisfies it, since nothing is looked up here.
    """
    if os.environ.get(LIBCIFPP_VARIABLE):
        yield
        return
    with tempfile.TemporaryDirectory(prefix="af3opt-") as folder:
        Path(folder, "components.cif").write_text("data_ALA\n_chem_comp.id ALA\n")
        os.environ[LIBCIFPP_VARIABLE] = folder
        try:
            yield
        finally:
            del os.environ[LIBCIFPP_VARIABLE]


def _open_text(path: Path) -> BinaryIO:
    with path.open("rb") as stream:
        compressed = stream.read(2) == b"\x1f\x8b"
    return cast(BinaryIO, gzip.open(path, "rb")) if compressed else path.open("rb")


def _batches(stream: BinaryIO) -> Iterator[bytes]:
    """Cuts the text into pieces that each hold whole data blocks."""
    pending: list[bytes] = []
    size = 0
    for line in stream:
        if size >= _BATCH_BYTES and line.startswith(_BLOCK_START):
            yield b"".join(pending)
            pending, size = [], 0
        pending.append(line)
        size += len(line)
    if pending:
        yield b"".join(pending)
