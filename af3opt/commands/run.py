"""`af3opt run`: fold inputs."""

import os
import sys

from af3opt.errors import ExitCode
from af3opt.options.help_text import format_run_help
from af3opt.settings import check_run_settings, format_settings, resolve_settings

SUMMARY = "fold inputs: run_alphafold.py's flags and output"


def main(argv: list[str]) -> int:
    """Runs `af3opt run` with the given flags and returns the exit code."""
    if {"--help", "-help", "-h"}.intersection(argv):
        sys.stdout.write(format_run_help())
        return ExitCode.OK
    settings = resolve_settings(argv, os.environ)
    if settings.print_settings:
        sys.stdout.write(format_settings(settings))
        return ExitCode.OK
    check_run_settings(settings)
    return ExitCode.OK
