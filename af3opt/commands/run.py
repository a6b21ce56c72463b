"""`af3opt run`: fold inputs."""

import os
import sys

from af3opt.environment import format_exports, plan_environment
from af3opt.errors import ExitCode
from af3opt.host import probe_host
from af3opt.logs import configure_logging
from af3opt.options.help_text import HELP_FLAGS, format_run_help
from af3opt.settings import check_run_settings, format_settings, resolve_settings

SUMMARY = "fold inputs: run_alphafold.py's flags and output"


def main(argv: list[str]) -> int:
    """Runs `af3opt run` with the given flags and returns the exit code."""
    if HELP_FLAGS.intersection(argv):
        sys.stdout.write(format_run_help())
        return ExitCode.OK
    settings = resolve_settings(argv, os.environ)
    configure_logging(settings)
    if settings.print_settings:
        sys.stdout.write(format_settings(settings))
        return ExitCode.OK
    if settings.print_env:
        host = probe_host(os.environ)
        sys.stdout.write(format_exports(plan_environment(settings, host, os.environ)))
        return ExitCode.OK
    check_run_settings(settings)
    return ExitCode.OK
