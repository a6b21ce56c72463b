"""The program: `python -m af3opt`, and the `af3opt` command.

Ctrl-C while modules are imported would end in a traceback of whatever is imported. So it
ends the process as SIGTERM does, by the signal itself, until `main` is there to deal with
it, and again after that. A SIGINT that is ignored, as in a shell's background, stays so.
"""

import signal

_RAISES = signal.getsignal(signal.SIGINT) is signal.default_int_handler
if _RAISES:
    signal.signal(signal.SIGINT, signal.SIG_DFL)

import sys  # noqa: E402

from af3opt.base.errors import ExitCode  # noqa: E402
from af3opt.cli import main  # noqa: E402


def program() -> int:
    """Runs the command line of this process and returns the exit code."""
    if not _RAISES:
        return main()
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        code = main()
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        code = ExitCode.INTERRUPTED
    return code


if __name__ == "__main__":
    sys.exit(program())
