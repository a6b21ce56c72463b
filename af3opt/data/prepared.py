"""Where prepared data lives, and which of it a run uses.

    prepared/ccd-<key>/            one for each source of components
        ccd.index  component_sets.json  libcifpp/  prepared.json
    prepared/weights-<depth>-<engine fingerprint>/
        af3opt-synthetic.bin.zst  af3opt_synthetic.json

`<key>` is a digest of the source, so data from another source, or by another
format version, gets a directory of its own and never replaces one in use.
`prepared/current-<engine fingerprint>` holds the name of the one that runs with this engine
use; `prepared/current` that of the one prepared last, for an engine without a choice of its own.

A site may have one for all users, named by AF3OPT_PREPARED_DIR: the chemical data and the names
as above. It is only read. What a user has prepared comes first.
"""

import dataclasses
import hashlib
import json
import logging
import os
import re
from collections.abc import Mapping
from pathlib import Path

import xxhash

from af3opt.base.atomic import atomic_write_text, remove_tree, restore_replaced
from af3opt.base.errors import SetupError
from af3opt.base.foreign_files import open_private, read_private
from af3opt.base.json_files import parse_sealed, sealed_json
from af3opt.base.json_types import Json
from af3opt.base.paths import af3opt_home
from af3opt.engine.discovery import find_engine

_log = logging.getLogger(__name__)

CCD_INDEX_FILE = "ccd.index"
COMPONENT_SETS_FILE = "component_sets.json"
LIBCIFPP_FOLDER = "libcifpp"
RECORD_FILE = "prepared.json"
_CURRENT_FILE = "current"
SHARED_VARIABLE = "AF3OPT_PREPARED_DIR"
_PREPARE = "run `af3opt prepare`"
_NAME = re.compile(r"ccd-[0-9a-f]{16}")
_MOST_NAME_BYTES = 100
_MOST_RECORD_BYTES = 1 << 20
_MOST_BYTES = 1 << 34

# Raise whenever the meaning of anything in the directory changes.
LAYOUT_VERSION = 2

# A copied or touched file is still the same source.
_INCIDENTAL = frozenset({"path", "mtime_ns"})


class DamagedDataError(Exception):
    """Prepared data is not what was written; the text says which file."""


@dataclasses.dataclass(frozen=True, slots=True)
class PreparedData:
    """One finished set of data for the engine.

    Attributes:
        root: Directory that holds everything below.
        ccd_index: File for `ccd_index.CcdIndex`.
        component_sets: File for `component_sets.read_component_sets`.
        libcifpp_dir: Directory for LIBCIFPP_DATA_DIR.
        source: What identifies where the components came from.
    """

    root: Path
    ccd_index: Path
    component_sets: Path
    libcifpp_dir: Path
    source: Mapping[str, Json]


def prepared_root() -> Path:
    """Returns the directory of all prepared data (not created)."""
    return af3opt_home() / "prepared"


def source_key(source: Mapping[str, Json]) -> str:
    """Returns the directory name for data made from `source`.

    Args:
        source: As in `sources.ComponentSource.description`.
    """
    identity = {key: value for key, value in source.items() if key not in _INCIDENTAL}
    text = json.dumps([LAYOUT_VERSION, identity], sort_keys=True)
    return "ccd-" + hashlib.sha256(text.encode()).hexdigest()[:16]


def write_record(root: Path, source: Mapping[str, Json], components: int) -> None:
    """Writes the record of a directory whose other files are complete.

    Args:
        root: The directory.
        source: As in `sources.ComponentSource.description`.
        components: How many there are.

    Raises:
        OSError: the disk is full.
    """
    files = sorted(path for path in root.rglob("*") if path.is_file())
    checksums = {path.relative_to(root).as_posix(): _checksum(path) for path in files}
    record = {"source": dict(source), "components": components, "files": checksums}
    (root / RECORD_FILE).write_text(sealed_json(record, indent=2) + "\n", encoding="utf-8")


def shared_root() -> Path | None:
    """Returns the site's directory of prepared data, or None when none is named."""
    named = os.environ.get(SHARED_VARIABLE)
    return Path(named).expanduser().absolute() if named else None


def read_prepared(root: Path, remedy: str = _PREPARE) -> PreparedData | None:
    """Reads one directory and checks its small files.

    The index of components has checksums of its own, checked as it is read.

    Args:
        root: The directory.
        remedy: What to do about data that cannot be used, for the warning.

    Returns:
        The data; None when the directory holds none that is complete and as it was
        written, with a warning if it ever did.
    """
    try:
        return check_prepared(root, whole=False)
    except FileNotFoundError:
        return None
    except (OSError, DamagedDataError) as error:
        _log.warning("Prepared data in %s: %s; %s", root, error, remedy)
        return None


def check_prepared(root: Path, *, whole: bool = True) -> PreparedData:
    """Reads one directory and compares its files with their checksums.

    Args:
        root: The directory.
        whole: Also of the large index of components, which has checksums of its own.

    Raises:
        DamagedDataError: something is missing or not what was written.
        OSError: it cannot be read, or others could have written it.
    """
    try:
        record = parse_sealed(read_private(root / RECORD_FILE, _MOST_RECORD_BYTES))
        checksums: Mapping[str, str] = record["files"]
        source: Mapping[str, Json] = record["source"]
    except (ValueError, KeyError) as error:
        raise DamagedDataError(
            f"{RECORD_FILE} is damaged or of an earlier version ({error})"
        ) from error
    if not checksums.keys() >= {CCD_INDEX_FILE, COMPONENT_SETS_FILE}:
        raise DamagedDataError(f"{RECORD_FILE} names too few files")
    for name, checksum in checksums.items():
        path = root / name
        # Gone, or replaced by something else: a user may have tidied up.
        if not path.is_file():
            raise DamagedDataError(f"{name} is missing")
        if (whole or name != CCD_INDEX_FILE) and _checksum(path) != checksum:
            raise DamagedDataError(f"{name} does not have the checksum it was written with")
    return PreparedData(
        root=root,
        ccd_index=root / CCD_INDEX_FILE,
        component_sets=root / COMPONENT_SETS_FILE,
        libcifpp_dir=root / LIBCIFPP_FOLDER,
        source=source,
    )


def _checksum(path: Path) -> str:
    """XXH3 of a private file's content: it finds damage, the owner keeps forgery out."""
    digest = xxhash.xxh3_128()
    with open_private(path, _MOST_BYTES) as stream:
        while block := stream.read(1 << 22):
            digest.update(block)
    return digest.hexdigest()


def select_prepared(root: Path) -> None:
    """Makes `root` the data that runs with the installed engine use from now on.

    Another engine of this user goes on with the data that were prepared for it.

    Raises:
        OSError: that cannot be written.
    """
    for current in _choices(root.parent):
        if current.is_dir() and not current.is_symlink():
            remove_tree(current)
        atomic_write_text(current, root.name + "\n", mode=0o600)


def _choices(folder: Path) -> list[Path]:
    """The files that name the data to use, the one that counts first."""
    common = folder / _CURRENT_FILE
    try:
        engine = find_engine()
    except SetupError:
        return [common]
    return [common.with_name(f"{_CURRENT_FILE}-{engine.fingerprint}"), common]


def let_all_read(folder: Path) -> None:
    """Lets all users read a directory of prepared data and everything in it.

    Raises:
        OSError: a mode cannot be set.
    """
    for path in (folder, *folder.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() else 0o644)


def find_prepared() -> PreparedData | None:
    """Returns the data that runs use: the user's, else the site's; None when there are none."""
    root = selected_directory()
    if root is not None:
        restore_replaced(root)
        own = read_prepared(root)
        if own is not None:
            return own
    return _find_shared()


def _find_shared() -> PreparedData | None:
    """Returns the site's data. Nothing of it is repaired: it is not this user's."""
    folder = shared_root()
    if folder is None:
        return None
    remedy = f"only files of root's or your own are used; `af3opt prepare --shared={folder}`"
    name = _selected_name(folder, remedy)
    if name is None:
        _log.warning("%s=%s holds no data that can be used", SHARED_VARIABLE, folder)
        return None
    return read_prepared(folder / name, remedy)


def selected_directory() -> Path | None:
    """Returns the user's directory that runs use, in whatever state, or None without a choice."""
    name = _selected_name(prepared_root(), _PREPARE)
    return None if name is None else prepared_root() / name


def _selected_name(folder: Path, remedy: str) -> str | None:
    """Reads the name of the directory to use; None when nothing has been chosen."""
    names = (_name_in(choice, remedy) for choice in _choices(folder))
    return next((name for name in names if name is not None), None)


def _name_in(current: Path, remedy: str) -> str | None:
    try:
        name = read_private(current, _MOST_NAME_BYTES).decode("ascii").strip()
        if not _NAME.fullmatch(name):
            raise ValueError("holds no name of a directory")
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        _log.warning("%s cannot be used (%s); %s", current, error, remedy)
        return None
    return name


def prepared_directories() -> list[Path]:
    """Returns the directories of chemical data that there are, in use or not."""
    root = prepared_root()
    found = root.iterdir() if root.is_dir() else ()
    return sorted(path for path in found if _NAME.fullmatch(path.name) and path.is_dir())
