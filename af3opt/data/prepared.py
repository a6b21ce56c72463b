"""Where prepared data lives, and which of it a run uses.

    prepared/ccd-<key>/            one for each source of components
        ccd.index  component_sets.json  libcifpp/  prepared.json
    prepared/weights-<depth>-<engine fingerprint>/
        af3opt-synthetic.bin.zst  af3opt_synthetic.json

`<key>` is a digest of the source, so data from another source, or by another
format version, gets a directory of its own and never replaces one in use.
`prepared/current` holds the name of the one to use.
"""

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from af3opt.base.atomic import atomic_write_text
from af3opt.base.paths import af3opt_home

CCD_INDEX_FILE = "ccd.index"
COMPONENT_SETS_FILE = "component_sets.json"
LIBCIFPP_FOLDER = "libcifpp"
RECORD_FILE = "prepared.json"
_CURRENT_FILE = "current"

# Raise whenever the meaning of anything in the directory changes.
LAYOUT_VERSION = 2

# A copied or touched file is still the same source.
_INCIDENTAL = frozenset({"path", "mtime_ns"})


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
    source: Mapping[str, Any]


def prepared_root() -> Path:
    """Returns the directory of all prepared data (not created)."""
    return af3opt_home() / "prepared"


def source_key(source: Mapping[str, Any]) -> str:
    """Returns the directory name for data made from `source`.

    Args:
        source: As in `sources.ComponentSource.description`.
    """
    identity = {key: value for key, value in source.items() if key not in _INCIDENTAL}
    text = json.dumps([LAYOUT_VERSION, identity], sort_keys=True)
    return "ccd-" + hashlib.sha256(text.encode()).hexdigest()[:16]


def read_prepared(root: Path) -> PreparedData | None:
    """Reads one directory; None when it is not complete prepared data."""
    try:
        record = json.loads((root / RECORD_FILE).read_text(encoding="utf-8"))
        data = PreparedData(
            root=root,
            ccd_index=root / CCD_INDEX_FILE,
            component_sets=root / COMPONENT_SETS_FILE,
            libcifpp_dir=root / LIBCIFPP_FOLDER,
            source=record["source"],
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None
    # The record is written last, but a user may have deleted what it speaks of.
    if not (data.ccd_index.is_file() and data.component_sets.is_file()):
        return None
    return data


def select_prepared(root: Path) -> None:
    """Makes `root` the data that runs use from now on."""
    atomic_write_text(prepared_root() / _CURRENT_FILE, root.name + "\n")


def find_prepared() -> PreparedData | None:
    """Returns the data that runs use, or None when `af3opt prepare` has not been run."""
    try:
        name = (prepared_root() / _CURRENT_FILE).read_text(encoding="utf-8").strip()
    except OSError:
        return None
    # The name comes from a file: keep it inside our directory.
    return read_prepared(prepared_root() / Path(name).name) if name else None
