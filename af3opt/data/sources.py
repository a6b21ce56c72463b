"""The places from which a component dictionary can be read."""

import dataclasses
import importlib
import pickle
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NoReturn

from af3opt.base.errors import SetupError
from af3opt.base.json_types import Json
from af3opt.base.ownership import trust_problem
from af3opt.data.ccd_bcif import describe_bundled_ccd, find_bundled_ccd, read_bcif
from af3opt.data.ccd_index import encode_component
from af3opt.data.prepared import find_prepared
from af3opt.data.source import describe_file_again

# What a user's own components.cif is called in a description.
MMCIF_KIND = "wwPDB mmCIF"

# Code of each component, and its text as `ccd_index.encode_component` writes it.
type Serialised = tuple[list[str], list[bytes]]


@dataclasses.dataclass(frozen=True, slots=True)
class ComponentSource:
    """A dictionary that can be read.

    Attributes:
        label: For the log.
        description: What identifies its content; JSON-able.
        read: Reads all of it.
    """

    label: str
    description: Mapping[str, Json]
    read: Callable[[], Serialised]


def bundled_source() -> ComponentSource:
    """The CCD that the package biotite ships.

    Raises:
        SetupError: biotite is not installed.
    """
    path = find_bundled_ccd()
    return ComponentSource(str(path), describe_bundled_ccd(path), lambda: read_bcif(path))


def engine_source(path: Path) -> ComponentSource:
    """The engine's own dictionary, `ccd.pickle` or `ccd.msgpack`.

    Args:
        path: The file.

    Raises:
        SetupError: the file cannot be read or belongs to somebody else.
    """
    try:
        problem = trust_problem(path.stat())
        if problem:
            raise SetupError(f"{path} {problem}; give --components_cif instead")
        packed = path.suffix == ".msgpack"
        description = _describe("engine MessagePack" if packed else "engine pickle", path)
    except OSError as error:
        raise SetupError(f"cannot read {path}: {error.strerror}") from error
    read = read_engine_msgpack if packed else read_engine_pickle
    return ComponentSource(str(path), description, lambda: read(path))


def mmcif_source(path: Path) -> ComponentSource:
    """The wwPDB's `components.cif`, plain or compressed.

    Args:
        path: The file.

    Raises:
        SetupError: it cannot be read.
    """
    try:
        description = _describe(MMCIF_KIND, path)
    except OSError as error:
        raise SetupError(f"--components_cif: cannot read {path}: {error.strerror}") from error
    return ComponentSource(str(path), description, lambda: _read_mmcif(path))


def _read_mmcif(path: Path) -> Serialised:
    from af3opt.data.component_text import read_component_blocks

    codes: list[str] = []
    texts: list[bytes] = []
    for code, component in read_component_blocks(path):
        if "_chem_comp.type" not in component or "_chem_comp.name" not in component:
            raise SetupError(f"--components_cif: {path}: block {code} is not a chemical component")
        codes.append(code)
        texts.append(encode_component(component))
    if not codes:
        raise SetupError(f"--components_cif: {path} holds no components")
    return codes, texts


def _describe(kind: str, path: Path) -> Mapping[str, Json]:
    """Describes a source; quick when the data in use was made from it."""
    current = find_prepared()
    return describe_file_again(kind, path, current.source if current else None)


class _PlainUnpickler(pickle.Unpickler):
    """Builds containers and strings only; anything with a class is refused."""

    def find_class(self, module_name: str, global_name: str) -> NoReturn:
        raise pickle.UnpicklingError(f"unexpected {module_name}.{global_name}")


def read_engine_pickle(path: Path) -> Serialised:
    """Reads a dictionary that the engine's generator has pickled.

    Raises:
        SetupError: it holds anything but strings in containers.
    """
    try:
        with path.open("rb") as stream:
            return _serialise(_PlainUnpickler(stream).load())
    except (pickle.UnpicklingError, EOFError, AttributeError, TypeError, ValueError) as error:
        raise SetupError(f"{path} is not a component dictionary ({error})") from error


def read_engine_msgpack(path: Path) -> Serialised:
    """Reads a dictionary that the generator of DeepMind v3.0.5 has packed.

    Raises:
        SetupError: it holds anything but strings in containers, or the package
            that reads it is missing.
    """
    try:
        msgpack = importlib.import_module("msgpack")
    except ImportError as error:
        raise SetupError(f"{path} cannot be read; run: pip install msgpack") from error
    try:
        with path.open("rb") as stream:
            return _serialise(msgpack.unpack(stream))
    except (ValueError, AttributeError, TypeError) as error:
        raise SetupError(f"{path} is not a component dictionary ({error})") from error


def _serialise(components: Json) -> Serialised:
    return list(components), [encode_component(value) for value in components.values()]
