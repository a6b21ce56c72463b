"""Hands prepared data to the engine without writing into its folder.

The engine expects files of its own making: the component dictionary and the
component sets (pickles inside its package, MessagePack since v3.0.5), and
libcifpp's `components.cif`.
`redirect_resources` answers for them from prepared data; it must run before the
engine's first import. It also keeps one job's own components out of the next:
older engines add them to a dictionary that the whole process shares.
"""

import importlib
import importlib.util
import io
import logging
import os
import pickle
import sys
from collections import ChainMap
from collections.abc import Callable
from pathlib import Path

from af3opt.base.errors import SetupError
from af3opt.data.ccd_index import CcdIndex
from af3opt.data.component_sets import ComponentSets, read_component_sets
from af3opt.data.prepared import PreparedData, find_prepared
from af3opt.data.source import same_file
from af3opt.engine.discovery import find_engine
from af3opt.engine.known_functions import known
from af3opt.engine.modules import engine_module
from af3opt.engine.patching import Patch, PatchSet, Target
from af3opt.engine.protocols import Argument, ComponentDictionary, EngineFunction

_log = logging.getLogger(__name__)

LIBCIFPP_VARIABLE = "LIBCIFPP_DATA_DIR"
_PREPARE_HINT = "type `af3opt prepare` once on this machine"
_SETS_MODULE = "alphafold3.constants.chemical_component_sets"
_COMPONENTS = "constants.chemical_components"
# What loads the dictionary, by the form in which engines keep it.
CCD_LOADERS = (
    known(_COMPONENTS, "_load_ccd_pickle_cached"),
    known(_COMPONENTS, "_load_ccd_msgpack_cached"),
)
_CCD = Target(_COMPONENTS, "Ccd", None)
_INIT = known(_COMPONENTS, "Ccd.__init__")
# The file by which an engine that keeps its data as MessagePack is told.
_MSGPACK_GENERATOR = "ccd_msgpack_gen.py"
_MSGPACK = ".msgpack"


class NoComponentDataError(SetupError):
    """Neither the engine nor `af3opt prepare` has chemical component data."""


def engine_ccd_file() -> Path:
    """Returns where the engine keeps its own component dictionary; it may not exist."""
    return _engine_data_file("ccd")


def component_index() -> CcdIndex | None:
    """The dictionary that a run here would use, without importing the engine.

    Returns:
        The index; None where none is prepared, the engine has a dictionary of its own that is
        not indexed, or there is no engine.
    """
    try:
        return _index_for_engine(find_prepared())
    except SetupError as error:
        _log.debug("Components are not looked up: %s", error)
        return None


def engine_sets_file() -> Path:
    """Returns where the engine keeps its own component sets; it may not exist."""
    return _engine_data_file("chemical_component_sets")


def _engine_data_file(name: str) -> Path:
    folder = find_engine().root / "constants" / "converters"
    suffix = _MSGPACK if (folder / _MSGPACK_GENERATOR).is_file() else ".pickle"
    return folder / (name + suffix)


def redirect_resources(prepared: PreparedData | None) -> None:
    """Lets the engine find its chemical data; safe to call twice.

    What the engine's owner has built in its folder is used as it is, except that
    a dictionary whose content has been indexed is read through the index.

    Args:
        prepared: Data made by `af3opt prepare`, or None.

    Raises:
        NoComponentDataError: the engine has no chemical data of its own, and none is prepared.
        SetupError: the prepared data is damaged.
    """
    require_component_data(prepared)
    if prepared is not None:
        offer_libcifpp_data(prepared)
        if not engine_sets_file().is_file():
            _install_component_sets(prepared)
    _install_ccd_loader(prepared)


def require_component_data(prepared: PreparedData | None) -> None:
    """Says so early where a run would find no chemical component data.

    Args:
        prepared: Data made by `af3opt prepare`, or None.

    Raises:
        NoComponentDataError: the engine has none of its own, and none is prepared.
        SetupError: there is no engine.
    """
    if prepared is None and not (engine_ccd_file().is_file() and engine_sets_file().is_file()):
        raise NoComponentDataError(f"the engine has no chemical component data: {_PREPARE_HINT}")


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
    """Imports the engine's sets module with our sets in place of its missing file.

    The module opens and decodes a file while it is imported. It is given an
    `open` of its own that returns our sets from memory, so no pickle has to lie
    on disk, where whoever can write to it could run code as the user.
    """
    if _SETS_MODULE in sys.modules:
        return
    encoded = _encode_sets(read_component_sets(prepared.component_sets))

    def open_sets(*_: object, **__: object) -> io.BytesIO:
        return io.BytesIO(encoded)

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


def _encode_sets(sets: ComponentSets) -> bytes:
    """Encodes the sets as the engine's own file has them."""
    if engine_sets_file().suffix != _MSGPACK:
        return pickle.dumps(sets)
    packed: bytes = importlib.import_module("msgpack").packb(
        {name: sorted(codes) for name, codes in sets.items()}
    )
    return packed


def _install_ccd_loader(prepared: PreparedData | None) -> None:
    """Replaces the function through which the engine's `Ccd` gets its dictionary."""
    global _dictionary
    if _dictionary is not None:
        return
    loader = next((one for one in CCD_LOADERS if one.obstacle() is None), None)
    index = _index_for_engine(prepared)
    if loader is None:
        reason = "has no function to load the component dictionary that is known"
        _step_aside(index, reason)
        return
    load = Patch[CcdIndex | None](name="component_index", replacements=((loader, _load_ccd),))
    patches = PatchSet([load, OWN_COMPONENTS] if index is not None else [load], index)
    patches.apply()
    if index is not None and not _uses_index(_CCD.original(), index):
        patches.undo()
        _step_aside(index, "loads its component dictionary in a way that is not known")
        return
    _dictionary = patches


def _load_ccd(
    original: Callable[[str | os.PathLike[str]], ComponentDictionary], index: CcdIndex | None
) -> EngineFunction:
    own_path = os.fspath(engine_ccd_file())

    def load_ccd(path: str | os.PathLike[str]) -> ComponentDictionary:
        if index is not None and os.path.realpath(path) == os.path.realpath(own_path):
            base: ComponentDictionary = index
        else:
            base = original(path)
        # Engines that add a job's own components do so by `update`, which lands
        # in this overlay; nothing reaches the shared dictionary below.
        return ChainMap({}, base)  # type: ignore[arg-type]

    return load_ccd


def _lay_over(own_init: Callable[..., None], _: CcdIndex | None) -> Callable[..., None]:
    """Lets `Ccd` put a job's own components over the dictionary instead of copying it."""

    def initialise(
        self: Argument, ccd_msgpack_path: Argument = None, user_ccd: str | None = None
    ) -> None:
        if not user_ccd:
            own_init(self, ccd_msgpack_path, user_ccd)
            return
        own_init(self, ccd_msgpack_path)
        blocks = engine_module(_COMPONENTS).cif_dict.parse_multi_data_cif(user_ccd)
        own = {code: block.to_dict() for code, block in blocks.items()}
        self._dict = ChainMap(own, self._dict)

    return initialise


# An `__init__` that copies the whole dictionary for a job with components of its own would
# take every one of them out of the index.
OWN_COMPONENTS = Patch[CcdIndex | None](name="own_components", replacements=((_INIT, _lay_over),))
_dictionary: PatchSet[CcdIndex | None] | None = None


def leave_dictionary_to_engine() -> None:
    """Takes back what `redirect_resources` did to how the engine loads its dictionary."""
    global _dictionary
    patches, _dictionary = _dictionary, None
    if patches is not None:
        patches.undo()


def _uses_index(make_ccd: Callable[[], ComponentDictionary], index: CcdIndex) -> bool:
    """Tries whether the engine's own class now answers from the index."""
    probe = next(iter(index))
    return make_ccd()[probe] is index[probe]


def _step_aside(index: CcdIndex | None, reason: str) -> None:
    if not engine_ccd_file().is_file():
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
    own_file = engine_ccd_file()
    if own_file.is_file() and not same_file(prepared.source, own_file):
        _log.info(
            "Using the engine's own component dictionary; `af3opt prepare` makes an "
            "index of it that opens at once."
        )
        return None
    return CcdIndex(prepared.ccd_index)
