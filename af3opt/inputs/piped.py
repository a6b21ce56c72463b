"""An input that comes through a pipe, as in `--json_path=<(command)`.

A pipe can be read once, and an input is read several times, by several processes. So its
content is kept in memory, as a file without a name that other users cannot open.
"""

import os
import stat
from pathlib import Path

from af3opt.base.errors import InputError

# As for other inputs: what is larger would fill the memory.
_MOST_BYTES = 4 * 1024**3
_CHUNK = 1 << 20


def is_pipe(path: Path) -> bool:
    """Tells whether a path leads to a pipe."""
    try:
        return stat.S_ISFIFO(path.stat().st_mode)
    except OSError:
        return False


def read_pipe(path: Path, most_bytes: int = _MOST_BYTES) -> Path:
    """Reads a pipe to its end.

    Args:
        path: The pipe.
        most_bytes: How much it may give.

    Returns:
        Path of a file with its content. It is there until this process ends, also for child
        processes and for a program that takes this process's place.

    Raises:
        InputError: it cannot be read, or holds too much.
    """
    kept = os.memfd_create("af3opt-input", 0)
    os.set_inheritable(kept, True)
    size = 0
    try:
        with path.open("rb") as pipe, open(kept, "wb", closefd=False) as file:
            while chunk := pipe.read(_CHUNK):
                size += len(chunk)
                if size > most_bytes:
                    raise InputError(f"{path}: gives more than {most_bytes} bytes; not read")
                file.write(chunk)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    return Path(f"/proc/{os.getpid()}/fd/{kept}")
