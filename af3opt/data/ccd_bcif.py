"""Reads the CCD that the package `biotite` ships as BinaryCIF.

It holds every component's `chem_comp`, `chem_comp_atom` and `chem_comp_bond`
rows. Numbers are stored as numbers there; they are written here with the three
decimals that the wwPDB's text file has, so both sources give the same strings.
"""

import importlib.metadata
import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from af3opt.base.errors import SetupError
from af3opt.base.json_types import JsonObject
from af3opt.data.ccd_index import RECORD_SEPARATOR, UNIT_SEPARATOR

# The wwPDB file's own order of items, so that iteration over a component's keys
# does not depend on the source. Items a source lacks are left out.
_ORDER = {
    "chem_comp": (
        "id", "name", "type", "pdbx_type", "formula", "mon_nstd_parent_comp_id", "pdbx_synonyms",
        "pdbx_formal_charge", "pdbx_initial_date", "pdbx_modified_date", "pdbx_ambiguous_flag",
        "pdbx_release_status", "pdbx_replaced_by", "pdbx_replaces", "formula_weight",
        "one_letter_code", "three_letter_code", "pdbx_model_coordinates_details",
        "pdbx_model_coordinates_missing_flag", "pdbx_ideal_coordinates_details",
        "pdbx_ideal_coordinates_missing_flag", "pdbx_model_coordinates_db_code",
        "pdbx_subcomponent_list", "pdbx_processing_site", "pdbx_pcm",
    ),
    "chem_comp_atom": (
        "comp_id", "atom_id", "alt_atom_id", "type_symbol", "charge", "pdbx_align",
        "pdbx_aromatic_flag", "pdbx_leaving_atom_flag", "pdbx_stereo_config",
        "pdbx_backbone_atom_flag", "pdbx_n_terminal_atom_flag", "pdbx_c_terminal_atom_flag",
        "model_Cartn_x", "model_Cartn_y", "model_Cartn_z", "pdbx_model_Cartn_x_ideal",
        "pdbx_model_Cartn_y_ideal", "pdbx_model_Cartn_z_ideal", "pdbx_component_atom_id",
        "pdbx_component_comp_id", "pdbx_ordinal",
    ),
    "chem_comp_bond": (
        "comp_id", "atom_id_1", "atom_id_2", "value_order", "pdbx_aromatic_flag",
        "pdbx_stereo_config", "pdbx_ordinal",
    ),
}  # fmt: skip

_DECIMALS = 3
_UNIT = UNIT_SEPARATOR.encode()
_RECORD = RECORD_SEPARATOR.encode()
# Wider columns have few rows (names, formulas), for which a matrix is mostly padding.
_MATRIX_WIDTH = 16
_LAST_ASCII = 127
_MASKED = {1: ".", 2: "?"}


# A category of biotite's, which has no type hints.
type _Category = Any
type _Bounds = tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]


def find_bundled_ccd() -> Path:
    """Finds the CCD inside an installed biotite, without importing it.

    Raises:
        SetupError: biotite is not installed or has no such file.
    """
    spec = importlib.util.find_spec("biotite")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        path = Path(folder) / "structure" / "info" / "components.bcif"
        if path.is_file():
            return path
    raise SetupError(
        "no chemical component dictionary found: type `pip install biotite==2.0.0`, or give the "
        "wwPDB's file with --components_cif=components.cif.gz"
    )


def describe_bundled_ccd(path: Path) -> JsonObject:
    """Returns the provenance recorded in an index built from `path`."""
    return {
        "kind": "biotite",
        "version": importlib.metadata.version("biotite"),
        "size": path.stat().st_size,
    }


def read_bcif(path: Path) -> tuple[list[str], list[bytes]]:
    """Reads all components in the serialised form of `ccd_index.encode_component`.

    Whole columns are turned into text at once and cut by component afterwards,
    which is several times faster than collecting each component's values.

    Args:
        path: A BinaryCIF file with the CCD's categories.

    Returns:
        Codes in file order, and each component's serialised text.

    Raises:
        SetupError: the file is not a CCD in BinaryCIF.
    """
    from biotite.structure.io.pdbx import BinaryCIFFile

    try:
        block = BinaryCIFFile.read(path).block
        codes: list[str] = block["chem_comp"]["id"].as_array().tolist()
        records: list[list[bytes]] = [[] for _ in codes]
        for category in _ORDER:
            bounds = _row_bounds(block[category], category, codes)
            for name, values in _columns(block[category], category):
                _append_column(records, f"_{category}.{name}", values, bounds)
    except (KeyError, ValueError, TypeError) as error:
        raise SetupError(f"{path} is not a BinaryCIF component dictionary ({error})") from error
    return codes, [_RECORD.join(parts) for parts in records]


def _row_bounds(category: _Category, name: str, codes: list[str]) -> _Bounds:
    """Finds each component's rows, which must be contiguous.

    Returns:
        First row, and row after the last, of each code; equal where it has none.
    """
    key = "id" if name == "chem_comp" else "comp_id"
    owner = category[key].as_array()
    changes = np.flatnonzero(owner[1:] != owner[:-1]) + 1
    first = np.concatenate(([0], changes))
    last = np.concatenate((changes, [len(owner)]))
    rows = dict(zip(owner[first].tolist(), zip(first, last, strict=True), strict=True))
    if len(rows) != len(first):
        raise ValueError(f"rows of one component are scattered in {name}")
    bounds = np.array([rows.get(code, (0, 0)) for code in codes], dtype=np.int64)
    return bounds[:, 0], bounds[:, 1]


def _columns(category: _Category, name: str) -> Iterator[tuple[str, npt.NDArray[Any]]]:
    """Yields (item, one string a row) in the wwPDB's order, unknown items last."""
    known = [item for item in _ORDER[name] if item in category]
    for item in known + sorted(set(category.keys()) - set(known)):
        column = category[item]
        values = _as_text(column.data.array)
        if column.mask is not None:
            for code, text in _MASKED.items():
                values[column.mask.array == code] = text
        yield item, values


def _as_text(values: npt.NDArray[Any]) -> npt.NDArray[np.str_]:
    """Formats a column.

    Args:
        values: Integers, floats or strings, shape (rows,).

    Returns:
        Strings, shape (rows,), a copy wide enough for the marks of missing values.
    """
    if values.dtype.kind == "U":
        return values.copy()
    if values.dtype.kind != "f":
        distinct, inverse = np.unique(values, return_inverse=True)
        texts = [str(value) for value in distinct.tolist()]
    else:
        scaled = np.rint(values * 10**_DECIMALS).astype(np.int32)
        if np.abs(values - scaled / 10**_DECIMALS).max(initial=0.0) > 1e-9:
            raise ValueError(f"numbers have more than {_DECIMALS} decimals")
        distinct, inverse = np.unique(scaled, return_inverse=True)
        texts = [f"{value / 10**_DECIMALS:.{_DECIMALS}f}" for value in distinct.tolist()]
    return np.array(texts, dtype=np.str_)[inverse]


def _append_column(
    records: list[list[bytes]], item: str, values: npt.NDArray[Any], bounds: _Bounds
) -> None:
    """Adds one item's record to every component that has rows for it."""
    joined = _join_rows(values)
    ends = np.flatnonzero(np.frombuffer(joined, np.uint8) == ord(UNIT_SEPARATOR)) + 1
    if len(ends) != len(values) or _RECORD in joined:
        raise ValueError(f"{item} contains an ASCII unit or record separator")
    starts = np.concatenate(([0], ends))
    first, last = (starts[rows].tolist() for rows in bounds)
    prefix = item.encode() + _UNIT
    for record, start, end in zip(records, first, last, strict=True):
        if end > start:
            record.append(prefix + joined[start : end - 1])


def _join_rows(values: npt.NDArray[Any]) -> bytes:
    """Joins rows as UTF-8 text, each ended by a unit separator.

    Millions of short ASCII rows are joined as one byte matrix from which the
    padding is dropped, without a Python object a row.

    Args:
        values: Strings, shape (rows,).
    """
    width = values.dtype.itemsize // 4
    codes = values.view(np.uint32).reshape(len(values), width)
    if width > _MATRIX_WIDTH or codes.max(initial=0) > _LAST_ASCII:
        return b"".join(text.encode("utf-8") + _UNIT for text in values.tolist())
    matrix = np.empty((len(values), width + 1), dtype=np.uint8)
    matrix[:, :width] = codes
    matrix[:, width] = ord(UNIT_SEPARATOR)
    joined: bytes = matrix[matrix != 0].tobytes()
    return joined
