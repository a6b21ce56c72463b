"""What a HMMER program says about itself, by its option -h."""

import dataclasses
import functools
import re
import subprocess
from pathlib import Path

# A program on a file system that is asleep takes long to start.
_PATIENCE_SECONDS = 60.0
_BANNER = re.compile(r"^# (HMMER (\S+).*)$", re.MULTILINE)


@dataclasses.dataclass(frozen=True, slots=True)
class HmmerHelp:
    """The help of a HMMER program.

    Attributes:
        text: All of it; empty if the program printed nothing.
        banner: Its line with version, date and address, or None.
        version: Such as "3.4", or None.
    """

    text: str
    banner: str | None
    version: str | None


@dataclasses.dataclass(frozen=True, slots=True)
class _Program:
    """A program as it is now; equal as long as its file does not change."""

    path: str
    modified_ns: int
    size: int
    patience_s: float = dataclasses.field(compare=False)


def hmmer_help(binary: str, patience_s: float = _PATIENCE_SECONDS) -> HmmerHelp:
    """Asks a program; once, as long as its file does not change.

    Args:
        binary: Path of the program.
        patience_s: How long to wait, in seconds.

    Raises:
        OSError: it cannot be started.
        subprocess.TimeoutExpired: it does not answer in time.
    """
    status = Path(binary).stat()
    text = _help_text(_Program(binary, status.st_mtime_ns, status.st_size, patience_s))
    found = _BANNER.search(text)
    return HmmerHelp(text, found and found[1], found and found[2])


@functools.lru_cache(maxsize=8)
def _help_text(program: _Program) -> str:
    done = subprocess.run(
        [program.path, "-h"],
        capture_output=True,
        text=True,
        errors="replace",
        timeout=program.patience_s,
        check=False,
    )
    return done.stdout
