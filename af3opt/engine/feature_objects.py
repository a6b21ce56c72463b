"""The engine's layout and structure objects inside a batch, as plain arrays and JSON.

A featurised batch carries a few 0-d object arrays that the model never sees but
that writing the result needs: atom layouts and an empty structure. They are taken
apart into columns and rebuilt from them, so that a stored batch needs no pickle.
"""

import dataclasses
import datetime
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from af3opt.engine.modules import engine_module

Arrays = dict[str, np.ndarray]

_TABLES = {
    "chains": ("structure.structure_tables", "Chains"),
    "residues": ("structure.structure_tables", "Residues"),
    "atoms": ("structure.structure_tables", "Atoms"),
    "bonds": ("structure.bonds", "Bonds"),
}
_SCALARS = str | int | float | bool | None


class UnknownObjectError(Exception):
    """A batch holds an object that cannot be taken apart without loss."""


def encode_objects(objects: Mapping[str, Any]) -> tuple[dict[str, Any], Arrays]:
    """Takes engine objects apart.

    Args:
        objects: Feature name -> AtomLayout, Structure or None.

    Returns:
        A JSON description of each, and the columns they refer to: 1-d arrays of
        numbers, named `<feature>/<column>`.

    Raises:
        UnknownObjectError: an object has a part that is not known here.
    """
    arrays: Arrays = {}
    description = {name: _encode(name, value, arrays) for name, value in objects.items()}
    return description, arrays


def decode_objects(description: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Arrays:
    """Rebuilds the 0-d object arrays of a batch from what `encode_objects` gave.

    Raises:
        KeyError: a column is missing.
    """
    decoded: Arrays = {}
    for name, record in description.items():
        decoded[name] = np.empty((), dtype=object)
        decoded[name][()] = _decode(record, arrays)
    return decoded


def _encode(name: str, value: Any, arrays: Arrays) -> dict[str, Any]:
    if value is None:
        return {"kind": "none"}
    if type(value) is engine_module("model.atom_layout.atom_layout").AtomLayout:
        return {"kind": "layout", "columns": _encode_columns(name, value, arrays)}
    if type(value) is engine_module("structure.structure").Structure:
        return _encode_structure(name, value, arrays)
    raise UnknownObjectError(f"feature {name!r} holds a {type(value).__name__}")


def _decode(record: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Any:
    if record["kind"] == "none":
        return None
    if record["kind"] == "layout":
        layout = engine_module("model.atom_layout.atom_layout").AtomLayout
        return layout(**_decode_columns(record["columns"], arrays))
    return _decode_structure(record, arrays)


def _encode_columns(name: str, owner: Any, arrays: Arrays) -> dict[str, Any]:
    return {
        field.name: _encode_column(f"{name}/{field.name}", getattr(owner, field.name), arrays)
        for field in dataclasses.fields(owner)
    }


def _decode_columns(
    columns: Mapping[str, Any], arrays: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray | None]:
    return {name: _decode_column(record, arrays) for name, record in columns.items()}


def _encode_column(place: str, column: Any, arrays: Arrays) -> dict[str, Any] | None:
    """Stores a column: numbers as they are, objects as positions in a list of values."""
    if column is None:
        return None
    if not isinstance(column, np.ndarray):
        raise UnknownObjectError(f"{place} is a {type(column).__name__}, not an array")
    record: dict[str, Any] = {"array": place, "shape": list(column.shape)}
    if column.dtype != object:
        arrays[place] = column.reshape(-1)
        return record
    # The type belongs to the identity: 1, 1.0 and True are equal as dictionary keys.
    numbers: dict[tuple[type, Any], int] = {}
    codes = np.empty(column.size, np.int32)
    for position, value in enumerate(column.reshape(-1).tolist()):
        codes[position] = numbers.setdefault((type(value), value), len(numbers))
    for _, value in numbers:
        if not isinstance(value, _SCALARS) or value != value:
            raise UnknownObjectError(f"{place} holds a {type(value).__name__}")
    arrays[place] = codes
    return record | {"values": [value for _, value in numbers]}


def _decode_column(
    record: Mapping[str, Any] | None, arrays: Mapping[str, np.ndarray]
) -> np.ndarray | None:
    if record is None:
        return None
    column = arrays[record["array"]]
    if "values" in record:
        values = np.empty(len(record["values"]), dtype=object)
        values[:] = record["values"]
        column = values[column]
    return column.reshape(record["shape"])


def _encode_structure(name: str, structure: Any, arrays: Arrays) -> dict[str, Any]:
    if structure.bioassembly_data is not None:
        raise UnknownObjectError(f"feature {name!r} has bioassembly data")
    date = structure.release_date
    components = structure.chemical_components_data
    return {
        "kind": "structure",
        "name": structure.name,
        "release_date": date.isoformat() if date is not None else None,
        "resolution": structure.resolution,
        "structure_method": structure.structure_method,
        "components": None
        if components is None
        else [[code, _plain_fields(entry)] for code, entry in components.chem_comp.items()],
        "tables": {
            table: _encode_columns(f"{name}/{table}", structure.get_table(table), arrays)
            for table in _TABLES
        },
    }


def _plain_fields(entry: Any) -> dict[str, Any]:
    """A component's entry as JSON; its atoms and bonds as rows in field order."""
    fields = dict(vars(entry))
    atoms, bonds = fields.pop("chem_comp_atoms"), fields.pop("chem_comp_bonds")
    for field, value in fields.items():
        if not isinstance(value, _SCALARS):
            raise UnknownObjectError(f"component field {field} is a {type(value).__name__}")
    fields["chem_comp_atoms"] = (
        None if atoms is None else [[atom, *_row(value)] for atom, value in atoms.items()]
    )
    fields["chem_comp_bonds"] = None if bonds is None else [_row(bond) for bond in bonds]
    return fields


def _row(record: Any) -> list[Any]:
    return [getattr(record, field.name) for field in dataclasses.fields(record)]


def _named(owner: type, rows: Sequence[Sequence[Any]]) -> Iterator[Any]:
    names = [field.name for field in dataclasses.fields(owner)]
    for row in rows:
        yield owner(**dict(zip(names, row, strict=True)))


def _decode_structure(record: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Any:
    tables = {}
    for table, (module, class_name) in _TABLES.items():
        owner = getattr(engine_module(module), class_name)
        tables[table] = owner(**_decode_columns(record["tables"][table], arrays))
    date = record["release_date"]
    return engine_module("structure.structure").Structure(
        name=record["name"],
        release_date=datetime.date.fromisoformat(date) if date is not None else None,
        resolution=record["resolution"],
        structure_method=record["structure_method"],
        chemical_components_data=_decode_components(record["components"]),
        **tables,
        # Its tables passed validation before they were stored, and storage verifies every byte.
        skip_validation=True,
    )


def _decode_components(components: Sequence[tuple[str, dict[str, Any]]] | None) -> Any:
    if components is None:
        return None
    module = engine_module("structure.chemical_components")
    entries = {}
    for code, stored in components:
        fields = dict(stored)
        atoms, bonds = fields.pop("chem_comp_atoms"), fields.pop("chem_comp_bonds")
        if atoms is not None:
            names = [row[0] for row in atoms]
            values = _named(module.ChemCompAtom, [row[1:] for row in atoms])
            atoms = dict(zip(names, values, strict=True))
        if bonds is not None:
            bonds = list(_named(module.ChemCompBond, bonds))
        entries[code] = module.ChemCompEntry(**fields, chem_comp_atoms=atoms, chem_comp_bonds=bonds)
    return module.ChemicalComponentsData(chem_comp=entries)
