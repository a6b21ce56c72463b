"""A second user, where the tests run as root."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

# "nobody" on Linux; it needs no entry in the user database.
OTHER_ID = 65534

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as a second user")


def give_away(path: Path) -> None:
    """Makes the other user the owner of a file, directory or link."""
    os.chown(path, OTHER_ID, OTHER_ID, follow_symlinks=False)


def run_as_other(code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Runs Python code as the other user, who may do only what file modes allow."""
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        user=OTHER_ID,
        group=OTHER_ID,
        extra_groups=[],
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
    )
