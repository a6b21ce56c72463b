"""`af3opt run`: fold inputs."""

import os
import time
from pathlib import Path

from af3opt.base.errors import ExitCode, UnifiedMemoryNeededError
from af3opt.base.standard_streams import write_out
from af3opt.commands._run_settings import (
    asks_for_help,
    read_settings,
    with_input_to_read_again,
)
from af3opt.settings.help_text import format_run_help
from af3opt.settings.settings import Settings, check_run_settings, format_settings

SUMMARY = "fold inputs, with the flags and output files of run_alphafold.py"


def main(argv: list[str]) -> int:
    """Runs `af3opt run` with the given flags and returns the exit code."""
    if asks_for_help(argv):
        write_out(format_run_help())
        return ExitCode.OK
    settings = read_settings(argv)
    if settings.print_settings:
        write_out(format_settings(settings))
        return ExitCode.OK
    if settings.print_env:
        return _print_environment(settings)
    settings = with_input_to_read_again(settings)
    check_run_settings(settings)
    environment, began = dict(os.environ), time.monotonic()
    try:
        return _run(settings)
    except UnifiedMemoryNeededError:
        from af3opt.execution.second_start import as_left, start_again

        start_again(as_left(argv, settings, time.monotonic() - began), environment)


def _print_environment(settings: Settings) -> int:
    from af3opt.environment.environment import format_exports
    from af3opt.environment.startup import plan_startup

    write_out(format_exports(plan_startup(settings).variables))
    return ExitCode.OK


def _run(settings: Settings) -> int:
    """Prepares the process and folds; JAX is first imported below this function."""
    from af3opt.environment.startup import prepare_process
    from af3opt.execution.interrupt import InterruptGuard

    # Modules that start threads (numpy, JAX) are imported under the guard only.
    if settings.run_alphafold_script is not None:
        guard = InterruptGuard()
        with guard.active():
            from af3opt.execution.script.run import run_script

            return run_script(settings, prepare_process(settings), guard)

    if settings.dry_run:
        from af3opt.execution.launch import preview_batch

        for line in preview_batch(settings, prepare_process(settings)):
            write_out(f"{line}\n")
        return ExitCode.OK
    if settings.gpus is not None or settings.cpu_workers is not None:
        from af3opt.execution.pool.slots import find_slots
        from af3opt.execution.pool.supervisor import run_pool

        return run_pool(settings, find_slots(settings))

    guard = InterruptGuard(resumable=settings.resume, takes_stop_requests=True)
    with guard.active():
        startup = prepare_process(settings)
        from af3opt.inference.weights_ahead import weights_ahead

        wanted = settings.run_inference and settings.weights_copy
        with weights_ahead(Path(settings.model_dir), wanted=wanted):
            from af3opt.execution.launch import run_batch

            return run_batch(settings, startup, guard)
