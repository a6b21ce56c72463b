"""`af3opt prepare`: the data that the engine needs and does not come with."""

import argparse
import logging
import time
from pathlib import Path
from typing import NoReturn

from af3opt.data.build import build_prepared
from af3opt.data.libcifpp import find_mmcif_dictionary
from af3opt.data.prepared import select_prepared
from af3opt.data.sources import ComponentSource, bundled_source, engine_source
from af3opt.engine.resources import engine_ccd_pickle
from af3opt.errors import ExitCode, UsageError
from af3opt.logs import Verbosity, configure_logging

SUMMARY = "build the chemical data (and synthetic weights) that the engine needs"

_log = logging.getLogger(__name__)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(f"af3opt prepare: {message}; see `af3opt prepare --help`")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="af3opt prepare", description=SUMMARY, allow_abbrev=False)
    parser.add_argument("--components_cif", type=Path)
    parser.add_argument("--mmcif_dictionary", type=Path)
    parser.add_argument("--synthetic_weights", action="store_true")
    parser.add_argument("--depth", choices=("full", "small"), default="full")
    parser.add_argument("--force", action="store_true")
    return parser


def main(argv: list[str]) -> int:
    flags = _parser().parse_args(argv)
    configure_logging(Verbosity())
    start = time.perf_counter()
    pickle_path = engine_ccd_pickle()
    source = engine_source(pickle_path) if pickle_path.is_file() else bundled_source()
    dictionary = flags.mmcif_dictionary or find_mmcif_dictionary()
    data, built = build_prepared(source, dictionary, force=flags.force)
    select_prepared(data.root)
    _log.info("%s %s (%.1f s)", data.root, "built" if built else "already there", time.perf_counter() - start)
    if flags.synthetic_weights:
        from af3opt.data.synthetic_weights import write_synthetic_weights

        print(write_synthetic_weights(flags.depth, force=flags.force))
    return ExitCode.OK


if __name__ == "__main__":
    import sys

    sys.exit(main(sys.argv[1:]))
