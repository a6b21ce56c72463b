"""Builds the engine's chemical data from whichever source there is."""

import contextlib
import dataclasses
import gzip
import json
import logging
import os
import pickle
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from af3opt.data.ccd_index import (
    Component,
    decode_component,
    encode_component,
    write_ccd_index,
)
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
    RECORD_FILE,
    PreparedData,
    prepared_root,
    read_prepared,
    source_key,
)
from af3opt.data.sources import ComponentSource
from af3opt.errors import SetupError
from af3opt.output.atomic import atomic_directory
from af3opt.paths import private_directory

_log = logging.getLogger(__name__)


def build_prepared(
    source: ComponentSource, mmcif_dictionary: Path | None, *, force: bool = False
) -> tuple[PreparedData, bool]:
    """Builds the data for one source, or finds it built.

    Two processes may do this at once: each fills a directory of its own, the
    first to finish puts it in place, and the other takes that one.

    Args:
        source: Where the components come from.
        mmcif_dictionary: `mmcif_pdbx.dic` to copy, or None when there is none.
        force: Build again even when complete data is there.

    Returns:
        The data, and whether it was built now.

    Raises:
        SetupError: the source is unreadable, or the directory not writable.
    """
    root = private_directory(prepared_root()) / source_key(source.description)
    existing = read_prepared(root)
    if existing is not None and not force:
        if mmcif_dictionary is None or existing.has_dictionary:
            return existing, False
        _log.info("Building again: now there is an mmcif_pdbx.dic for libcifpp")
    try:
        with atomic_directory(root) as scratch:
            _fill(scratch, source, mmcif_dictionary)
    except OSError as error:
        finished = read_prepared(root)
        if finished is None:
            raise SetupError(f"cannot write prepared data to {root}: {error}") from error
        _log.info("Another process has just built the same data; using that")
    result = read_prepared(root)
    assert result is not None
    return result, True


def _fill(folder: Path, source: ComponentSource, mmcif_dictionary: Path | None) -> None:
    """Writes all files of one prepared directory."""
    folder.chmod(0o700)
    _log.info("Reading components from %s", source.label)
    codes, texts = source.read()
    _log.info("Indexing %d components", len(codes))
    with (folder / CCD_INDEX_FILE).open("wb") as stream:
        write_ccd_index(stream, codes, texts, source.description)
    sets = derive_component_sets(
        (code, *_type_and_name(text)) for code, text in zip(codes, texts, strict=True)
    )
    (folder / COMPONENT_SETS_FILE).write_text(component_sets_json(sets), encoding="utf-8")
    residues = frozenset(RESIDUES)
    libcifpp = folder / LIBCIFPP_FOLDER
    libcifpp.mkdir()
    write_components_cif(
        libcifpp / COMPONENTS_FILE,
        {
            code: decode_component(text.decode("utf-8"))
            for code, text in zip(codes, texts, strict=True)
            if code in residues
        },
    )
    if mmcif_dictionary is not None:
        shutil.copyfile(mmcif_dictionary, libcifpp / DICTIONARY_FILE)
    record = {
        "source": dict(source.description),
        "components": len(codes),
        "libcifpp": True,
        "mmcif_dictionary": str(mmcif_dictionary) if mmcif_dictionary else None,
    }
    (folder / RECORD_FILE).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


def _type_and_name(text: bytes) -> tuple[str, str]:
    component = decode_component(text.decode("utf-8"))
    return component["_chem_comp.type"][0], component["_chem_comp.name"][0]
