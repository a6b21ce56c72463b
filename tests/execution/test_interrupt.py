"""Signals end the process at once, with clean files and the right exit code."""

import signal
import subprocess
import sys
import textwrap
import time

import pytest

from af3opt.errors import ExitCode

# The main thread sits in a C call that never returns to the interpreter, as it does
# while a compiled model runs.
BUSY = textwrap.dedent(
    """
    import ctypes, signal, sys
    from pathlib import Path
    from af3opt.execution.interrupt import InterruptGuard
    from af3opt.output.atomic import atomic_directory
    root = Path(sys.argv[1])
    with InterruptGuard().active() as guard:
        guard.watch(root)
        with atomic_directory(root / "seed-1_sample-0") as scratch:
            (scratch / "half").write_text("x")
            print("busy", flush=True)
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # As XLA does while it compiles.
            ctypes.CDLL(None).sleep(60)
    """
)


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGTERM, ExitCode.TERMINATED), (signal.SIGINT, ExitCode.INTERRUPTED)],
)
def test_signal_ends_a_busy_process_without_half_written_files(tmp_path, number, code):
    with subprocess.Popen(
        [sys.executable, "-c", BUSY, str(tmp_path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"busy\n"
        start = time.monotonic()
        process.send_signal(number)
        _, errors = process.communicate(timeout=10)
    assert process.returncode == code
    assert time.monotonic() - start < 5
    assert list(tmp_path.iterdir()) == []
    assert number.name in errors.decode()
