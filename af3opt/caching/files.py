"""The files of a cache directory, which other users may be able to write to.

    <root>/<2 digits>/<key digest>.entry       see `entry`
    <root>/<2 digits>/<key digest>.used        one byte a hit; its time is the last use
    <root>/<2 digits>/<key digest>.<id>.used   the same of a user who does not own <root>
    <root>/quarantine/                         what was damaged, for inspection

Each user counts in a file of their own and never appends to anything else: a name in
a shared directory may be a link to a file of whoever follows it.
"""

import contextlib
import errno
import os
import stat
import time
from collections.abc import Iterator
from pathlib import Path

from af3opt.base.atomic import is_temporary, remove_tree

ENTRY_SUFFIX = ".entry"
_USED_SUFFIX = ".used"
_FOLDERS = "[0-9a-f][0-9a-f]"
# A write takes seconds at most: an older temporary file belongs to a process that was killed.
_ABANDONED_AFTER_S = 3600.0
# Damage has one cause most of the time; the newest cases show it.
_QUARANTINE_KEPT = 20


class CacheFiles:
    """Finds, makes and removes the files of one cache."""

    def __init__(self, root: Path) -> None:
        """Describes a directory, which need not exist.

        Args:
            root: The cache's directory.
        """
        self.root = root
        self.quarantine = Quarantine(self)

    def path_of(self, digest: str) -> Path:
        """Returns the file of an entry, which may not exist."""
        return self.root / digest[:2] / f"{digest}{ENTRY_SUFFIX}"

    def file_mode(self) -> int:
        """Permission bits of a file here: as open as the directory."""
        return self.root.stat().st_mode & 0o666

    def make_folder(self, folder: Path) -> None:
        """Makes a directory of the cache as open as the cache itself, whatever the umask.

        Raises:
            OSError: it cannot be made, or something else has its name.
        """
        try:
            folder.mkdir(mode=0o700)
        except FileExistsError:
            if not _is_folder(folder):
                raise NotADirectoryError(
                    errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder)
                ) from None
            return
        folder.chmod(stat.S_IMODE(self.root.stat().st_mode))

    def entries(self) -> Iterator[tuple[Path, os.stat_result]]:
        """Yields every entry's file and its state; other things with such a name are left out."""
        for folder in self._folders():
            yield from _states(folder, ENTRY_SUFFIX)

    def entries_with_use(self) -> Iterator[tuple[Path, os.stat_result, int, float]]:
        """Yields the same, with the hits by all users and the time of the last, 0.0 if none."""
        for folder in self._folders():
            uses: dict[str, tuple[int, float]] = {}
            for mark, status in _states(folder, _USED_SUFFIX):
                digest = mark.name.partition(".")[0]
                hits, last = uses.get(digest, (0, 0.0))
                uses[digest] = (hits + status.st_size, max(last, status.st_mtime))
            for path, status in _states(folder, ENTRY_SUFFIX):
                yield path, status, *uses.get(path.stem, (0, 0.0))

    def remove(self, path: Path) -> None:
        """Removes an entry with the marks of its use."""
        marks = path.parent.glob(f"{path.stem}.*{_USED_SUFFIX}")
        for one in (path, path.with_suffix(_USED_SUFFIX), *marks):
            remove_tree(one)

    def remove_abandoned(self) -> None:
        """Removes what killed processes left behind, and all but the newest of quarantine."""
        for oldest in self.quarantine.content()[:-_QUARANTINE_KEPT]:
            remove_tree(oldest)
        for folder in self._folders():
            for path in filter(is_temporary, folder.glob(".*")):
                with contextlib.suppress(OSError):
                    if time.time() - path.lstat().st_mtime > _ABANDONED_AFTER_S:
                        remove_tree(path)

    def count_hit(self, path: Path) -> None:
        """Adds one to the hits of an entry; a hit that cannot be counted is not."""
        # One appended byte a hit: needs no lock, and a hit lost on a network file
        # system only makes a count one too small.
        flags = os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        with contextlib.suppress(OSError):  # Read-only cache, full disk.
            user = os.geteuid()
            other = "" if self.root.stat().st_uid == user else f".{user}"
            mark = path.with_name(f"{path.stem}{other}{_USED_SUFFIX}")
            descriptor = os.open(mark, flags | os.O_CREAT, self.file_mode())
            try:
                status = os.fstat(descriptor)
                ours = stat.S_ISREG(status.st_mode) and status.st_uid == user
                if ours and status.st_nlink == 1:
                    os.write(descriptor, b".")
            finally:
                os.close(descriptor)

    def _folders(self) -> Iterator[Path]:
        # A link would lead to files that are not this cache's.
        return filter(_is_folder, self.root.glob(_FOLDERS))


class Quarantine:
    """What was damaged, kept for inspection."""

    def __init__(self, files: CacheFiles) -> None:
        """Describes the quarantine of a cache."""
        self._files = files
        self._folder = files.root / "quarantine"

    def set_aside(self, path: Path) -> None:
        """Moves whatever has an entry's name here, or deletes it."""
        target = self._folder / f"{path.stem}-{time.time_ns()}{ENTRY_SUFFIX}"
        try:
            self._files.make_folder(self._folder)
            path.rename(target)
        except OSError:
            # Another process may have been faster, or the directory is read-only:
            # the entry stays a miss either way.
            remove_tree(path)

    def content(self) -> list[Path]:
        """Returns what was set aside, the oldest first."""
        found = self._folder.glob(f"*{ENTRY_SUFFIX}") if _is_folder(self._folder) else ()
        return sorted(found, key=lambda path: path.stem.rpartition("-")[2])

    def clear(self) -> int:
        """Removes what was set aside and returns its size in bytes."""
        freed = 0
        for path in self.content():
            with contextlib.suppress(OSError):
                freed += path.lstat().st_size
            remove_tree(path)
        return freed


def _states(folder: Path, suffix: str) -> Iterator[tuple[Path, os.stat_result]]:
    for path in folder.glob(f"*{suffix}"):
        with contextlib.suppress(OSError):  # Pruned or replaced meanwhile.
            status = path.lstat()
            if not is_temporary(path) and not stat.S_ISDIR(status.st_mode):
                yield path, status


def _is_folder(path: Path) -> bool:
    try:
        return stat.S_ISDIR(path.lstat().st_mode)
    except OSError:
        return False
