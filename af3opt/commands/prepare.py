"""`af3opt prepare`: makes the data that the engine needs and does not come with."""

import argparse
import logging
import os
import time
from pathlib import Path

from af3opt.base.atomic import is_temporary
from af3opt.base.command_parser import CommandParser
from af3opt.base.errors import ExitCode, UsageError
from af3opt.base.logs import Verbosity, configure_logging
from af3opt.base.standard_streams import write_out
from af3opt.data.build import build_prepared
from af3opt.data.libcifpp import find_mmcif_dictionary
from af3opt.data.prepared import (
    SHARED_VARIABLE,
    PreparedData,
    find_prepared,
    let_all_read,
    prepared_root,
    select_prepared,
    shared_root,
)
from af3opt.data.repair import default_source
from af3opt.data.sources import MMCIF_KIND, ComponentSource, mmcif_source
from af3opt.data.synthetic_weights import DEPTHS, NOTE, write_synthetic_weights

SUMMARY = "make the chemical component data that the engine needs, and synthetic weights"

_DESCRIPTION = """\
Makes an index of the chemical component dictionary, the component sets and the data for solvent
accessibility, under AF3OPT_HOME/prepared. Never writes into the engine's folder.

The components come from the first of these that exists: --components_cif, the engine's own
dictionary, the package biotite. Running the command again keeps existing data, also those from
--components_cif. --force, or another --components_cif, makes them again."""

_log = logging.getLogger(__name__)


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser(
        prog="af3opt prepare",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--components_cif",
        type=Path,
        metavar="FILE",
        help="the wwPDB's components.cif, plain or gzip-compressed (it also has the SMILES that "
        "the engine writes into its mmCIF files)",
    )
    parser.add_argument(
        "--mmcif_dictionary",
        type=Path,
        metavar="FILE",
        help="mmcif_pdbx.dic for libcifpp (default: one installed by libcifpp-data; the engine's "
        "own structures do not need it)",
    )
    parser.add_argument(
        "--synthetic_weights",
        action="store_true",
        help="also make random weights in the real shapes, for tests and benchmarks; structures "
        "from them have no meaning",
    )
    parser.add_argument(
        "--depth",
        choices=tuple(DEPTHS),
        default="full",
        help="depth of the synthetic weights: full, or small with few layers and diffusion steps "
        "for tests (default: full)",
    )
    parser.add_argument(
        "--shared",
        type=Path,
        metavar="DIR",
        help="make the component data in DIR for all users of a site; users set "
        "AF3OPT_PREPARED_DIR=DIR; DIR and all directories above it must belong to root",
    )
    parser.add_argument("--force", action="store_true", help="make existing data again")
    parser.add_argument("--list", action="store_true", help="list the existing data, then exit")
    parser.add_argument("--quiet", action="store_true", help="log only warnings and errors")
    return parser


def main(argv: list[str]) -> int:
    """Runs `af3opt prepare` with the given flags and returns the exit code.

    Raises:
        UsageError: a flag is wrong.
        SetupError: a source, the engine or the directory cannot be used.
    """
    flags = _parser().parse_args(argv)
    configure_logging(Verbosity(quiet=flags.quiet))
    if flags.list:
        _print_list()
        return ExitCode.OK
    if flags.shared is not None and flags.synthetic_weights:
        raise UsageError("--shared is for chemical data; leave --synthetic_weights out")
    if flags.mmcif_dictionary is not None and not flags.mmcif_dictionary.is_file():
        raise UsageError(f"--mmcif_dictionary: {flags.mmcif_dictionary} is not a file")
    if flags.shared is not None:
        _prepare_for_all(flags, flags.shared.expanduser().absolute())
        return ExitCode.OK
    _prepare_chemical_data(flags)
    if flags.synthetic_weights:
        _prepare_weights(flags)
    return ExitCode.OK


def _prepare_chemical_data(flags: argparse.Namespace) -> None:
    start = time.perf_counter()
    given = find_prepared()
    if given is not None and _is_settled(flags, given):
        if given.root.parent == prepared_root():
            select_prepared(given.root)
        _report("Chemical data", given.root, False, start)
        return
    data, built = build_prepared(
        _source(flags.components_cif),
        flags.mmcif_dictionary or find_mmcif_dictionary(),
        force=flags.force,
    )
    select_prepared(data.root)
    _report("Chemical data", data.root, built, start)


def _prepare_for_all(flags: argparse.Namespace, folder: Path) -> None:
    """Makes the chemical data in a directory that all users may read."""
    start = time.perf_counter()
    if not folder.parent.is_dir():
        raise UsageError(f"--shared={folder}: there is no directory {folder.parent}; make it first")
    data, built = build_prepared(
        _source(flags.components_cif),
        flags.mmcif_dictionary or find_mmcif_dictionary(),
        force=flags.force,
        folder=folder,
    )
    select_prepared(data.root)
    let_all_read(folder)
    _report("Chemical data", data.root, built, start)
    _log.info("Users take it with: export %s=%s", SHARED_VARIABLE, folder)
    if os.geteuid() != 0:
        _log.warning(
            "Other users refuse it until root owns it and all directories above it: "
            "chown -R root:root %s",
            folder,
        )


def _is_settled(flags: argparse.Namespace, current: PreparedData) -> bool:
    """Whether the data in use are the site's or a file's, and nothing else is asked for."""
    asked = flags.components_cif or flags.mmcif_dictionary or flags.force
    of_site = current.root.parent == shared_root()
    return not asked and (of_site or current.source.get("kind") == MMCIF_KIND)


def _source(components_cif: Path | None) -> ComponentSource:
    """Chooses where the components come from: the flag, the engine, biotite."""
    return default_source() if components_cif is None else mmcif_source(components_cif)


def _prepare_weights(flags: argparse.Namespace) -> None:
    start = time.perf_counter()
    folder, built = write_synthetic_weights(flags.depth, force=flags.force)
    _report(f"Synthetic weights ({flags.depth})", folder, built, start)
    _log.info("Use them with --model_dir=%s. %s", folder, NOTE)
    # For scripts: the directory is the one thing on standard output.
    write_out(f"{folder}\n")


def _report(what: str, folder: Path, built: bool, start: float) -> None:
    seconds = time.perf_counter() - start
    how = f"built in {seconds:.1f} s" if built else "already there"
    _log.info("%s %s: %s (%s)", what, how, folder, _size_text(folder))


def _size_text(folder: Path) -> str:
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return f"{size / 1e9:.2f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"


def _print_list() -> None:
    """Prints one line a directory: size, time of making, path."""
    root = prepared_root()
    folders = sorted(root.iterdir()) if root.is_dir() else []
    for folder in folders:
        if folder.is_dir() and not is_temporary(folder):
            made = time.strftime("%Y-%m-%d %H:%M", time.localtime(folder.stat().st_mtime))
            write_out(f"{_size_text(folder):>10}  {made}  {folder}\n")
