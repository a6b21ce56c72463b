"""Runs one measured process: wall time, peak memory, and its lines with their times."""

import dataclasses
import os
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from af3opt.base.errors import SetupError
from af3opt.benchmarks.stages import TimedLine, split_stages

_LAST_LINES = 15


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ProcessRun:
    """What one process took.

    Attributes:
        wall_seconds: From its start to its end.
        cpu_seconds: User and system time of it and the processes it waited for.
        peak_bytes: Largest resident set of any one of them.
        stages: Stage -> seconds; see `stages.split_stages`.
    """

    wall_seconds: float
    cpu_seconds: float
    peak_bytes: int
    stages: Mapping[str, float]


def run_measured(
    command: Sequence[str], environ: Mapping[str, str], log: Path, *, folder: Path
) -> ProcessRun:
    """Runs a command to its end.

    Args:
        command: Program and arguments.
        environ: Its whole environment.
        log: File for everything it writes, each line after its time in seconds.
        folder: Working directory.

    Raises:
        SetupError: it cannot be started or fails; the message ends with its last lines.
    """
    start = time.monotonic()
    try:
        process = subprocess.Popen(
            command,
            env={**environ, "PYTHONUNBUFFERED": "1"},
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
    except OSError as error:
        raise SetupError(f"{command[0]}: cannot be started: {error.strerror}") from error
    assert process.stdout is not None
    lines: list[TimedLine] = []
    reader = threading.Thread(target=_read_lines, args=(process.stdout, start, lines))
    reader.start()
    try:
        # wait4 gives this child's own usage; getrusage would give the maximum over all.
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.monotonic() - start
        process.returncode = os.waitstatus_to_exitcode(status)
    except BaseException:
        process.kill()
        process.wait()
        raise
    finally:
        reader.join()
        process.stdout.close()
        log.write_text("".join(f"{line.seconds:9.2f} {line.text}\n" for line in lines))
    if process.returncode:
        last = " | ".join(line.text for line in lines[-_LAST_LINES:])
        raise SetupError(f"exit code {process.returncode} from {' '.join(command)}: {last}")
    return ProcessRun(
        wall_seconds=wall,
        cpu_seconds=usage.ru_utime + usage.ru_stime,
        peak_bytes=usage.ru_maxrss * 1024,
        stages=split_stages(lines, wall),
    )


def _read_lines(stream: IO[bytes], start: float, lines: list[TimedLine]) -> None:
    for raw in stream:
        text = raw.decode(errors="replace").rstrip()
        lines.append(TimedLine(time.monotonic() - start, text))
