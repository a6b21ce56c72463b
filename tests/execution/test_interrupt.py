"""Signals end the process at once, with clean files and the right exit code."""

import contextlib
import os
import pty
import signal
import subprocess
import sys
import textwrap
import time

import pytest

from af3opt.base.errors import ExitCode
from tests.execution.conftest import LONGEST_S, command_lines_with, program

# The main thread sits in a C call that never returns to the interpreter, as it does
# while a compiled model runs.
BUSY = textwrap.dedent(
    """
    import ctypes, signal, sys
    from pathlib import Path
    from af3opt.execution.interrupt import InterruptGuard
    from af3opt.base.atomic import atomic_directory
    root = Path(sys.argv[1])
    with InterruptGuard(resumable=sys.argv[2:] == ["resumable"]).active() as guard:
        guard.watch(root)
        with atomic_directory(root / "seed-1_sample-0") as scratch:
            (scratch / "half").write_text("x")
            print("busy", flush=True)
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # As XLA does while it compiles.
            ctypes.CDLL(None).sleep(600)
    """
)


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGTERM, ExitCode.TERMINATED), (signal.SIGINT, ExitCode.INTERRUPTED)],
)
def test_signal_ends_a_busy_process_without_half_written_files(tmp_path, number, code):
    with program(
        [sys.executable, "-c", BUSY, str(tmp_path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"busy\n"
        process.send_signal(number)
        _, errors = process.communicate(timeout=LONGEST_S)
    assert process.returncode == code
    assert list(tmp_path.iterdir()) == []
    assert number.name in errors.decode()
    assert "same command again" not in errors.decode()


# Threads that start another child process whenever one has ended, each with one of its own.
RESTARTING = textwrap.dedent(
    """
    import subprocess, sys, threading, time
    from af3opt.execution.interrupt import InterruptGuard
    def start_again():
        while True:
            subprocess.run(["bash", "-c", f"cat {sys.argv[1]} >/dev/null; :"])
    with InterruptGuard().active():
        for _ in range(4):
            threading.Thread(target=start_again, daemon=True).start()
        print("busy", flush=True)
        time.sleep(600)
    """
)


@pytest.mark.parametrize("seconds", [0, 0.01, 0.02, 0.05, 0.5])
def test_no_child_process_outlives_it(tmp_path, seconds):
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    with program([sys.executable, "-c", RESTARTING, str(gate)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"busy\n"
        time.sleep(seconds)  # Any moment is as good as another.
        process.send_signal(signal.SIGTERM)
        assert process.wait(LONGEST_S) == ExitCode.TERMINATED
    left = command_lines_with(gate)
    with contextlib.suppress(OSError):
        os.close(os.open(gate, os.O_WRONLY | os.O_NONBLOCK))  # Lets them end.
    assert left == []


def test_ctrl_c_says_how_to_go_on(tmp_path):
    with program(
        [sys.executable, "-c", BUSY, str(tmp_path), "resumable"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"busy\n"
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=LONGEST_S)
    assert process.returncode == ExitCode.INTERRUPTED
    assert errors.decode().endswith(" To go on, run the same command again.\n")


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGTERM, ExitCode.TERMINATED), (signal.SIGINT, ExitCode.INTERRUPTED)],
)
def test_a_process_that_was_suspended_still_ends_at_a_signal(tmp_path, number, code):
    """As by Ctrl-Z or by a scheduler: waits for signals return early then."""
    with program([sys.executable, "-c", BUSY, str(tmp_path)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"busy\n"
        for _ in range(3):
            process.send_signal(signal.SIGSTOP)
            time.sleep(0.3)
            process.send_signal(signal.SIGCONT)
            time.sleep(0.1)
        process.send_signal(number)
        process.communicate(timeout=LONGEST_S)
    assert process.returncode == code
    assert list(tmp_path.iterdir()) == []


SHOWN = textwrap.dedent(
    """
    import ctypes, os
    from af3opt.execution.interrupt import InterruptGuard
    from af3opt.progress import open_display
    with (
        InterruptGuard().active() as guard,
        open_display(total_jobs=1, wanted=True) as display,
        guard.at_end(display.abandon),
    ):
        os.write(1, b"busy\\n")  # print would go to the display
        ctypes.CDLL(None).sleep(600)
    """
)


def test_a_signal_leaves_a_terminal_with_its_cursor(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    ours, theirs = pty.openpty()
    with program([sys.executable, "-c", SHOWN], stdout=subprocess.PIPE, stderr=theirs) as process:
        os.close(theirs)
        assert process.stdout is not None
        assert process.stdout.readline() == b"busy\n"
        process.send_signal(signal.SIGINT)
        shown = b""
        with contextlib.suppress(OSError):  # the other end is closed
            while part := os.read(ours, 4096):
                shown += part
    os.close(ours)
    assert process.returncode == ExitCode.INTERRUPTED
    assert b"\x1b[?25l" in shown
    assert shown.rindex(b"\x1b[?25h") > shown.rindex(b"\x1b[?25l")


FAILING_ONCE = """
import signal
sigwait, calls = signal.sigwait, []

def failing(numbers):
    calls.append(numbers)
    if len(calls) == 1:
        raise ValueError("no signal")
    return sigwait(numbers)

signal.sigwait = failing
"""


def test_a_wait_that_fails_does_not_make_a_process_deaf(tmp_path):
    with program(
        [sys.executable, "-c", FAILING_ONCE + BUSY, str(tmp_path)], stdout=subprocess.PIPE
    ) as process:
        assert process.stdout.readline() == b"busy\n"
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=LONGEST_S)
    assert process.returncode == ExitCode.TERMINATED
