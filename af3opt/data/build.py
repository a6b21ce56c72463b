"""Builds the engine's chemical data from whichever source there is."""

import functools
import logging
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from af3opt.base.paths import private_directory
from af3opt.data.ccd_index import decode_component, decode_first_value, write_ccd_index
from af3opt.data.component_sets import component_sets_json, derive_component_sets
from af3opt.data.libcifpp import (
    COMPONENTS_FILE,
    DICTIONARY_FILE,
    RESIDUES,
    write_components_cif,
)
from af3opt.data.prepared import (
    CCD_INDEX_FILE,
    COMPONENT_SETS_FILE,
    LIBCIFPP_FOLDER,
    PreparedData,
    prepared_root,
    read_prepared,
    source_key,
    write_record,
)
from af3opt.data.sources import ComponentSource
from af3opt.data.staging import build_directory

_log = logging.getLogger(__name__)


def build_prepared(
    source: ComponentSource,
    mmcif_dictionary: Path | None,
    *,
    force: bool = False,
    folder: Path | None = None,
) -> tuple[PreparedData, bool]:
    """Builds the data for one source, or finds it built.

    Args:
        source: Where the components come from.
        mmcif_dictionary: `mmcif_pdbx.dic` to copy, or None when there is none.
        force: Build again even when complete data is there.
        folder: Directory of all prepared data; None for the user's.

    Returns:
        The data, and whether it was built now.

    Raises:
        SetupError: the source is unreadable, or the directory not writable.
    """
    root = private_directory(folder or prepared_root()) / source_key(source.description)
    existing = read_prepared(root)
    if existing is not None and not force:
        return existing, False
    fill = functools.partial(_fill, source=source, mmcif_dictionary=mmcif_dictionary)
    return build_directory(root, fill, read_prepared), True


def _fill(folder: Path, source: ComponentSource, mmcif_dictionary: Path | None) -> None:
    """Writes all files of one prepared directory."""
    _log.info("Reading the chemical component dictionary: %s", source.label)
    codes, texts = source.read()
    _log.info("Indexing %d components", len(codes))
    with (folder / CCD_INDEX_FILE).open("wb") as stream:
        write_ccd_index(stream, codes, texts, source.description)
    sets = derive_component_sets(_types_and_names(codes, texts))
    (folder / COMPONENT_SETS_FILE).write_text(component_sets_json(sets), encoding="utf-8")
    _write_libcifpp_data(folder / LIBCIFPP_FOLDER, codes, texts, mmcif_dictionary)
    write_record(folder, source.description, len(codes))


def _types_and_names(
    codes: Sequence[str], texts: Sequence[bytes]
) -> Iterator[tuple[str, str, str]]:
    for code, text in zip(codes, texts, strict=True):
        kind = decode_first_value(text, "_chem_comp.type")
        yield code, kind, decode_first_value(text, "_chem_comp.name")


def _write_libcifpp_data(
    folder: Path, codes: Sequence[str], texts: Sequence[bytes], mmcif_dictionary: Path | None
) -> None:
    wanted = frozenset(RESIDUES)
    residues = {
        code: decode_component(text.decode("utf-8"))
        for code, text in zip(codes, texts, strict=True)
        if code in wanted
    }
    folder.mkdir()
    write_components_cif(folder / COMPONENTS_FILE, residues)
    if mmcif_dictionary is not None:
        shutil.copyfile(mmcif_dictionary, folder / DICTIONARY_FILE)
