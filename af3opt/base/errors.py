"""Errors meant for the person who typed the command.

Every error a user can cause is an `Af3optError`: its text is one line that names
the file, flag or field, says what is wrong and what to do. `af3opt.cli` prints
that line to stderr and exits with `exit_code`; `--debug` adds the traceback.
"""

import enum


class ExitCode(enum.IntEnum):
    """Process exit codes, stable across releases (batch scripts test them).

    Attributes:
        OK: everything asked for is done.
        FAILURE: an unexpected error (a bug, or the machine).
        USAGE: bad flag, input or set-up; nothing was written.
        SOME_FAILED: the batch ended, some jobs failed; see `failed.json`.
        REQUEUE: work is left (signal, time limit) or other processes hold it; run the same
            command again to continue. 75 is sysexits' EX_TEMPFAIL.
        INTERRUPTED: Ctrl-C (128 + SIGINT).
        TERMINATED: SIGTERM before any work was safe to keep (128 + SIGTERM).
    """

    OK = 0
    FAILURE = 1
    USAGE = 2
    SOME_FAILED = 3
    REQUEUE = 75
    INTERRUPTED = 130
    TERMINATED = 143


class Af3optError(Exception):
    """Base of all errors with a message for the user."""

    exit_code: ExitCode = ExitCode.FAILURE


class UsageError(Af3optError):
    """A flag, setting or preset is wrong or contradicts another."""

    exit_code = ExitCode.USAGE


class UnifiedMemoryNeededError(Exception):
    """All that is left to do are jobs that fit only if the GPU may spill to host memory.

    Not for the user: the command starts again with `--unified_memory`.
    """


class InputError(Af3optError):
    """A fold input cannot be used: the message names the file and the field."""

    exit_code = ExitCode.USAGE


class SetupError(Af3optError):
    """Something needed is missing or unusable: engine, weights, CCD, tool, device."""

    exit_code = ExitCode.USAGE
