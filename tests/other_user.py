"""A second user, where the tests run as root."""

import json
import multiprocessing
import os
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.forked import start_forked

# "nobody" on Linux; it needs no entry in the user database.
OTHER_ID = 65534

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as a second user")


def give_away(path: Path) -> None:
    """Makes the other user the owner of a file, directory or link."""
    os.chown(path, OTHER_ID, OTHER_ID, follow_symlinks=False)


def let_pass(path: Path) -> None:
    """Lets the other user through the directories above a path."""
    for folder in path.parents:
        mode = folder.stat().st_mode & 0o7777
        if not mode & 0o001 and folder.stat().st_uid == os.geteuid():
            folder.chmod(mode | 0o011)


def as_other(function: Callable[[], Any], user: int = OTHER_ID, group: int = OTHER_ID) -> Any:
    """Runs a function in a child process that belongs to the other user, or to a third.

    The child is a copy of this process: the interpreter's own files may be unreadable for
    that user.

    Returns:
        What the function returned, which must be plain JSON.
    """
    reader, writer = multiprocessing.Pipe(duplex=False)

    def act() -> None:
        try:
            os.setgroups([])
            os.setgid(group)
            os.setuid(user)
            answer = {"value": function()}
        except BaseException:
            answer = {"error": traceback.format_exc()}
        writer.send(json.dumps(answer))

    child = start_forked(act)
    writer.close()  # Else nobody would notice that the child has died.
    with reader:
        answer = json.loads(reader.recv())
    child.join()
    assert "error" not in answer, answer["error"]
    return answer["value"]
