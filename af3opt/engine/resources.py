"""Hands prepared data to the engine without writing into its folder.

The engine expects files of its own making: the component dictionary and the
component sets (pickles inside its package), and libcifpp's `components.cif`.
`redirect_resources` answers for them from prepared data; it must run before the
engine's first import. It also keeps one job's own components out of the next:
older engines add them to a dictionary that the whole process shares.
"""

import importlib.util
import io
import logging
import os
import pickle
import sys
from collections import ChainMap
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from af3opt.data.ccd_index import CcdIndex
from af3opt.data.component_sets import read_component_sets
from af3opt.data.prepared import PreparedData
from af3opt.data.source import same_file
from af3opt.engine.discovery import find_engine
from af3opt.engine.modules import engine_module
from af3opt.errors import SetupError

_log = logging.getLogger(__name__)

LIBCIFPP_VARIABLE = "LIBCIFPP_DATA_DIR"
_PREPARE_HINT = "type `af3opt prepare` once on this machine"
_SETS_MODULE = "alphafold3.constants.chemical_component_sets"
_CCD_LOADER = "_load_ccd_pickle_cached"

type Ccd = Mapping[str, Mapping[str, Any]]


def engine_ccd_pickle() -> Path:
    """Returns where the engine keeps its own component dictionary; it may not exist."""
    return find_engine().root / "constants" / "converters" / "ccd.pickle"


def engine_sets_pickle() -> Path:
    """Returns where the engine keeps its own component sets; it may not exist."""
    return find_engine().root / "constants" / "converters" / "chemical_component_sets.pickle"


def redirect_resources(prepared: PreparedData | None) -> None:
    """Lets the engine find its chemical data; safe to call twice.

    What the engine's owner has built in its folder is used as it is, except that
    a dictionary whose content has been indexed is read through the index.

    Args:
        prepared: Data made by `af3opt prepare`, or None.

    Raises:
        SetupError: the engine has no chemical data of its own and none is
            prepared, or the prepared data is damaged.
    """
    if prepared is None and not (engine_ccd_pickle().is_file() and engine_sets_pickle().is_file()):
        raise SetupError(f"the engine has no chemical component data: {_PREPARE_HINT}")
    if prepared is not None:
        offer_libcifpp_data(prepared)
        if not engine_sets_pickle().is_file():
            _install_component_sets(prepared)
    _install_ccd_loader(prepared)


def offer_libcifpp_data(prepared: PreparedData) -> None:
    """Points libcifpp at the prepared residues unless the user or the engine has some.

    The engine's compiled module reads the variable; DeepMind's build does so when
    it is first imported, and fails without.

    Args:
        prepared: Data made by `af3opt prepare`.
    """
    installed = find_engine().root.parent / "share" / "libcifpp" / "components.cif"
    if not os.environ.get(LIBCIFPP_VARIABLE) and not installed.is_file():
        os.environ[LIBCIFPP_VARIABLE] = str(prepared.libcifpp_dir)


def _install_component_sets(prepared: PreparedData) -> None:
    """Imports the engine's sets module with our sets in place of its missing pickle.

    The module opens and unpickles a file while it is imported. It is given an
    `open` of its own that returns our sets from memory, so no pickle has to lie
    on disk, where whoever can write to it could run code as the user.
    """
    if _SETS_MODULE in sys.modules:
        return
    sets = read_component_sets(prepared.component_sets)

    def open_sets(*_: Any, **__: Any) -> io.BytesIO:
        return io.BytesIO(pickle.dumps(sets))

    spec = importlib.util.find_spec(_SETS_MODULE)
    if spec is None or spec.loader is None:
        raise SetupError(f"the engine has no module {_SETS_MODULE}; reinstall the engine")
    module = importlib.util.module_from_spec(spec)
    module.open = open_sets  # type: ignore[attr-defined]
    sys.modules[_SETS_MODULE] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[_SETS_MODULE]
        raise
    del module.open
    parent, _, name = _SETS_MODULE.rpartition(".")
    setattr(sys.modules[parent], name, module)


def _install_ccd_loader(prepared: PreparedData | None) -> None:
    """Replaces the function through which the engine's `Ccd` gets its dictionary."""
    module = engine_module("constants.chemical_components")
    original = getattr(module, _CCD_LOADER, None)
    if getattr(original, "_af3opt", False):
        return
    index = _index_for_engine(prepared)
    if not callable(original):
        _step_aside(index, "has no function to load the component dictionary that is known")
        return
    own_path = os.fspath(engine_ccd_pickle())

    def load_ccd(path: str | os.PathLike[str]) -> Ccd:
        if index is not None and os.path.realpath(path) == os.path.realpath(own_path):
            base: Ccd = index
        else:
            base = original(path)
        # Engines that add a job's own components do so by `update`, which lands
        # in this overlay; nothing reaches the shared dictionary below.
        return ChainMap({}, base)  # type: ignore[arg-type]

    load_ccd._af3opt = True  # type: ignore[attr-defined]
    setattr(module, _CCD_LOADER, load_ccd)
    if index is not None and not _uses_index(module.Ccd, index):
        setattr(module, _CCD_LOADER, original)
        _step_aside(index, "loads its component dictionary in a way that is not known")


def _uses_index(make_ccd: Callable[[], Ccd], index: CcdIndex) -> bool:
    """Tries whether the engine's own class now answers from the index."""
    probe = next(iter(index))
    return make_ccd()[probe] is index[probe]


def _step_aside(index: CcdIndex | None, reason: str) -> None:
    if not engine_ccd_pickle().is_file():
        raise SetupError(
            f"this engine {reason}, and it has no dictionary of its own; "
            "build its own data with its build_data command"
        )
    if index is not None:
        _log.warning("CCD index not used: this engine %s.", reason)


def _index_for_engine(prepared: PreparedData | None) -> CcdIndex | None:
    """Opens the index when it stands for what the engine would have loaded itself."""
    if prepared is None:
        return None
    pickle_path = engine_ccd_pickle()
    if pickle_path.is_file() and not same_file(prepared.source, pickle_path):
        _log.info(
            "Using the engine's own component dictionary; `af3opt prepare` makes an "
            "index of it that opens at once."
        )
        return None
    return CcdIndex(prepared.ccd_index)
