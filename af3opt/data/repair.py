"""Making prepared data again that has been damaged."""

import logging

from af3opt.base.errors import SetupError
from af3opt.data.build import build_prepared
from af3opt.data.libcifpp import find_mmcif_dictionary
from af3opt.data.prepared import PreparedData, selected_directory, source_key
from af3opt.data.resources import engine_ccd_file
from af3opt.data.sources import ComponentSource, bundled_source, engine_source

_log = logging.getLogger(__name__)


def default_source() -> ComponentSource:
    """Where components come from if the user gives none: the engine, else biotite.

    Raises:
        SetupError: neither has any.
    """
    own_file = engine_ccd_file()
    return engine_source(own_file) if own_file.is_file() else bundled_source()


def repair_prepared() -> PreparedData | None:
    """Makes the data in use again from what they were made from.

    Returns:
        The data; None when none is in use, or what they were made from is not there.

    Raises:
        SetupError: they cannot be written.
    """
    directory = selected_directory()
    if directory is None:
        return None
    try:
        source = default_source()
    except SetupError:
        return None
    if source_key(source.description) != directory.name:
        return None
    _log.warning("%s is damaged; made again from %s", directory, source.label)
    return build_prepared(source, find_mmcif_dictionary(), force=True)[0]
