"""What must be in place before the engine is first imported."""

import functools
import logging
import sys
from pathlib import Path

from af3opt.base.errors import SetupError
from af3opt.base.garbage import keep_for_good, no_collection
from af3opt.data.ccd_index import mend_with
from af3opt.data.prepared import find_prepared
from af3opt.data.repair import repair_prepared
from af3opt.data.resources import redirect_resources
from af3opt.engine.deferred_import import defer_import
from af3opt.engine.discovery import EngineInfo, find_engine
from af3opt.engine.modules import engine_module

_log = logging.getLogger(__name__)


def bootstrap_engine(*, defer_kernels: bool = False) -> EngineInfo:
    """Makes `alphafold3` importable in this process and checks that it imports.

    The environment for JAX must have been applied before. Safe to call twice.

    Args:
        defer_kernels: Import the package of the GPU's kernels when one is first called.

    Returns:
        The engine found.

    Raises:
        SetupError: no usable engine, no chemical component data, or the engine
            fails to import.
    """
    engine = find_engine()
    _redirect_resources()
    _parse_no_flags()
    if not _log.isEnabledFor(logging.DEBUG):
        _silence_rdkit()
    if defer_kernels:
        defer_import()
    try:
        _import_engine()
    except FileNotFoundError as error:
        raise SetupError(
            f"the engine in {engine.root} misses {error.filename or error}; run: af3opt prepare"
        ) from error
    except ImportError as error:
        raise SetupError(
            f"the engine in {engine.root} cannot be imported: {error}; reinstall it for this Python"
        ) from error
    _log.debug("Engine %s in %s", engine.label, engine.root)
    return engine


def _redirect_resources() -> None:
    """Hands prepared data to the engine; what is damaged is made again, now or when it is read."""
    mend_with(_make_index_again)
    try:
        redirect_resources(find_prepared())
    except SetupError:
        repaired = repair_prepared()
        if repaired is None:
            raise
        redirect_resources(repaired)


def _make_index_again(index: Path) -> bool:
    repaired = repair_prepared()
    return repaired is not None and repaired.ccd_index == index


@functools.cache
def _import_engine() -> None:
    with no_collection():
        engine_module("model.model")
        engine_module("model.post_processing")
        engine_module("data.pipeline")
        keep_for_good()


def _silence_rdkit() -> None:
    """RDKit prints to stderr past Python's logging; its failures reach us as exceptions."""
    from rdkit import RDLogger

    RDLogger.DisableLog("rdApp.*")  # type: ignore[attr-defined]


def _parse_no_flags() -> None:
    """Leaves nothing in `sys.argv` for absl to trip over.

    tokamax parses `sys.argv` with the global absl flags while the model is traced
    and fails on flags it does not know, so it is given an empty command line.
    """
    from absl import flags

    del sys.argv[1:]
    if not flags.FLAGS.is_parsed():
        flags.FLAGS(sys.argv[:1])
