"""Who but this user could have written a file, or put another directory in its place.

A path is as safe as its weakest level: whoever can write to any directory above a file
can replace what lies below. `open_directory` looks at every level by descriptor, so that
nothing can change between the look and the use.
"""

import contextlib
import errno
import functools
import os
import shlex
import stat
from collections.abc import Iterator
from pathlib import Path

_LEVEL_FLAGS = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
# As many links in one path as Linux itself follows.
_MOST_LINKS = 40
# How this process's user ids are those of the host, and the id of what has none here.
_ID_MAP = Path("/proc/self/uid_map")
_OVERFLOW_ID = Path("/proc/sys/kernel/overflowuid")
_ALL_IDS = 0xFFFFFFFF


class RefusedFileError(OSError):
    """A file or directory is not used because of what it is or whose it is.

    `strerror` is a clause such as "is not a regular file", `filename` what it is said of.

    Attributes:
        remedy: What makes it safe, such as "type `chmod +t /project`"; "" if unknown.
    """

    def __init__(
        self, path: Path | str, reason: str, number: int = errno.EPERM, *, remedy: str = ""
    ) -> None:
        super().__init__(number, reason, str(path))
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.filename} {self.strerror}"


def trust_problem(status: os.stat_result) -> str | None:
    """Says why a file or directory must not be trusted, or None when it may be.

    Args:
        status: `os.stat` result of the path itself.

    Returns:
        A clause such as "belongs to user id 1234", or None.
    """
    problem = _owner_problem(status, frozenset({os.geteuid(), 0}))
    if problem is None and status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return _mode_problem(status)
    return problem


@contextlib.contextmanager
def checked_directory(path: Path, *, group_may_write: bool = False) -> Iterator[int]:
    """Gives a descriptor of a directory after `open_directory` has checked its path."""
    descriptor = open_directory(path, group_may_write=group_may_write)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def directory_problem(path: Path, *, group_may_write: bool = False) -> str | None:
    """Says who else could write to a directory or put another one in its place.

    Args:
        path: An existing directory.
        group_may_write: As for `open_directory`.

    Returns:
        The level and a clause, such as "/data is writable by others (mode 777)"; or None.

    Raises:
        OSError: it cannot be looked at.
    """
    try:
        with checked_directory(path, group_may_write=group_may_write):
            return None
    except RefusedFileError as error:
        return str(error)


def directory_remedy(path: Path) -> str:
    """What makes a directory safe that `directory_problem` speaks of; "" if no mode does.

    Raises:
        OSError: it cannot be looked at.
    """
    try:
        with checked_directory(path):
            return ""
    except RefusedFileError as error:
        return error.remedy


def open_directory(path: Path, *, group_may_write: bool = False) -> int:
    """Opens a directory level by level and checks each: only this user and root may write.

    A level that others can write to is accepted only above the directory itself, if it has
    the sticky bit (such as /tmp): there, nobody can replace what belongs to this user.

    Args:
        path: An existing directory. A link counts as safe if this user or root made it.
        group_may_write: Accept levels that their group can write to.

    Returns:
        A descriptor for use as `dir_fd`; the caller closes it.

    Raises:
        RefusedFileError: names the level that is not safe.
        OSError: one of them cannot be opened.
    """
    walk = _Walk(group_may_write)
    try:
        walk.enter(path.absolute())
        walk.check_last()
        return walk.here
    except BaseException:
        os.close(walk.here)
        raise


class _Walk:
    """Goes from the root to a directory, one descriptor at a time."""

    def __init__(self, group_may_write: bool) -> None:
        self.here = os.open("/", _LEVEL_FLAGS | os.O_DIRECTORY)
        self._place = Path("/")
        self._links = 0
        self._unwanted = stat.S_IWOTH if group_may_write else stat.S_IWOTH | stat.S_IWGRP

    def enter(self, path: Path) -> None:
        """Enters the levels of an absolute or relative path.

        Raises:
            RefusedFileError: one is not safe.
        """
        if path.is_absolute():
            self._move(os.open("/", _LEVEL_FLAGS | os.O_DIRECTORY), Path("/"))
        for name in path.relative_to("/").parts if path.is_absolute() else path.parts:
            self._enter_one(name)

    def check_last(self) -> None:
        """Checks the directory that the walk has come to, where no sticky bit helps."""
        status = os.fstat(self.here)
        if not stat.S_ISDIR(status.st_mode):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(self._place))
        self._refuse(_owner_problem(status, frozenset({os.geteuid(), 0})))
        if status.st_mode & self._unwanted:
            self._refuse(_mode_problem(status), self._remedy("go-w", status))

    def _enter_one(self, name: str) -> None:
        above = os.fstat(self.here)
        self._refuse(_owner_problem(above, _owners()))
        if above.st_mode & self._unwanted and not above.st_mode & stat.S_ISVTX:
            self._refuse(_mode_problem(above), self._remedy("+t", above))
        try:
            entry = os.open(name, _LEVEL_FLAGS, dir_fd=self.here)
        except OSError as error:
            error.filename = str(self._place / name)
            raise
        status = os.fstat(entry)
        if not stat.S_ISLNK(status.st_mode):
            self._move(entry, (self._place / name) if name != ".." else self._place.parent)
            return
        try:
            # Whoever owns a link decides where it leads.
            if problem := _owner_problem(status, _owners()):
                raise RefusedFileError(self._place / name, problem)
            target = os.readlink("", dir_fd=entry)
        finally:
            os.close(entry)
        self._links += 1
        if self._links > _MOST_LINKS:
            raise RefusedFileError(self._place / name, "is one of too many symbolic links")
        self.enter(Path(target))

    def _move(self, descriptor: int, place: Path) -> None:
        os.close(self.here)
        self.here, self._place = descriptor, place

    def _refuse(self, problem: str | None, remedy: str = "") -> None:
        if problem:
            raise RefusedFileError(self._place, problem, remedy=remedy)

    def _remedy(self, change: str, status: os.stat_result) -> str:
        """Who types which command; a sticky level stays open, and its entries are safe."""
        is_own = os.geteuid() in (status.st_uid, 0)
        command = f"`chmod {change} {shlex.quote(str(self._place))}`"
        return f"type {command}" if is_own else f"ask its owner to type {command}"


def _owner_problem(status: os.stat_result, owners: frozenset[int]) -> str | None:
    return None if status.st_uid in owners else f"belongs to user id {status.st_uid}"


def _mode_problem(status: os.stat_result) -> str:
    return f"is writable by others (mode {stat.S_IMODE(status.st_mode):03o})"


def _owners() -> frozenset[int]:
    """Ids whose directories may lie above one's own: this user, root, and root unmapped."""
    return frozenset({os.geteuid(), 0, *unmapped_root()})


@functools.cache
def unmapped_root(id_map: Path = _ID_MAP, overflow_id: Path = _OVERFLOW_ID) -> frozenset[int]:
    """In a container without the host's ids, everything of root's belongs to one odd id.

    Args:
        id_map: Linux's table of the user ids of this process.
        overflow_id: Linux's file with the odd id.

    Returns:
        That id; nothing where root is root.
    """
    try:
        mapped = [line.split() for line in id_map.read_text().splitlines()]
        if any(int(count) >= _ALL_IDS for _, _, count in mapped):
            return frozenset()
        return frozenset({int(overflow_id.read_text())})
    except (OSError, ValueError):
        return frozenset()
