"""`CacheManager`: a directory of entries that many processes share without locks.

    <root>/<2 digits>/<key digest>.entry   see `entry`
    <root>/<2 digits>/<key digest>.used    one byte a hit; its time is the last use
    <root>/quarantine/                     damaged entries, for inspection

Writers replace entries by rename, readers verify what they read, so no lock is
needed, not even on network file systems where locks are unreliable. Entries have the
permissions of `<root>`: private in one that is made here, shared in one whose owner
has opened it to a group.
"""

import contextlib
import dataclasses
import logging
import os
import stat
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from af3opt.base.atomic import is_temporary
from af3opt.base.key import CacheKey, differences
from af3opt.base.ownership import trust_problem
from af3opt.base.paths import make_private
from af3opt.caching.entry import (
    Buffer,
    DamagedEntryError,
    EntryHeader,
    read_entry,
    read_header,
    write_entry,
)

_log = logging.getLogger(__name__)

_ENTRY_SUFFIX = ".entry"
_USED_SUFFIX = ".used"
_QUARANTINE = "quarantine"
# A write takes seconds at most: an older temporary file belongs to a process that was killed.
_ABANDONED_AFTER_S = 3600.0
# Pruning stops below the limit by this share, so that it does not run at every write.
_PRUNE_TO = 0.9


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class EntryInfo:
    """One line of a listing.

    Attributes:
        digest: The key's digest.
        path: Its file.
        size: Bytes on disk.
        created: Seconds since the epoch.
        last_used: Seconds since the epoch; the time of creation if never used.
        hits: How often it was read.
        header: Its header, or None when that cannot be read.
    """

    digest: str
    path: Path
    size: int
    created: float
    last_used: float
    hits: int
    header: EntryHeader | None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class CacheStats:
    """Totals of a cache.

    Attributes:
        entries: Number of entries.
        size: Bytes of all entries.
        hits: Reads of the entries that are there now.
        quarantined: Number of damaged files set aside.
    """

    entries: int
    size: int
    hits: int
    quarantined: int


class CacheManager:
    """Content-addressed store of byte payloads, bounded in size.

    Nothing that goes wrong with the file system stops the caller: a cache that
    cannot be read gives misses, one that cannot be written stays as it is, and
    either is said once.
    """

    def __init__(self, name: str, root: Path, *, max_bytes: int | None = None) -> None:
        """Describes a cache; nothing is created before the first `put`.

        Args:
            name: What messages call it, such as "feature cache".
            root: Its directory.
            max_bytes: Size that `put` keeps it within; None for no limit.
        """
        self.name = name
        self.root = root
        self.max_bytes = max_bytes
        self._writable = True
        self._size: int | None = None
        self._trust_checked = False

    def path_of(self, digest: str) -> Path:
        """Returns the file of an entry, which may not exist."""
        return self.root / digest[:2] / f"{digest}{_ENTRY_SUFFIX}"

    def get(self, key: CacheKey) -> memoryview | None:
        """Returns the payload stored under `key`, or None.

        A damaged entry is set aside with one warning and counts as a miss, so
        that the next `put` repairs it.
        """
        self._check_trust()
        path = self.path_of(key.digest)
        try:
            header, payload = read_entry(path)
        except FileNotFoundError:
            return None
        except DamagedEntryError as error:
            self.quarantine(path, str(error))
            return None
        except OSError as error:
            _log.warning("%s: cannot read %s: %s", self.name, path, error.strerror or error)
            return None
        if differences(dict(key.material), dict(header.material)):
            self.quarantine(path, "was stored under another key")
            return None
        self._count_hit(path)
        return payload

    def seconds_to_make(self, key: CacheKey) -> float:
        """Returns the `seconds` of an entry's information, or 0.0 where there are none."""
        try:
            seconds = read_header(self.path_of(key.digest)).information.get("seconds")
        except (DamagedEntryError, OSError):
            return 0.0
        return float(seconds) if isinstance(seconds, int | float) else 0.0

    def put(
        self,
        key: CacheKey,
        payload: Sequence[Buffer],
        information: Mapping[str, Any] | None = None,
    ) -> bool:
        """Stores a payload, then prunes if the cache has outgrown its limit.

        Args:
            key: Identity of the entry; an existing one is replaced.
            payload: Buffers that make up the payload, in order.
            information: Plain JSON shown by listings; `seconds` is what making the payload
                took, see `seconds_to_make`.

        Returns:
            Whether it was stored. A cache that turned out not to be writable is
            left alone for the rest of the process.
        """
        if not self._writable:
            return False
        path = self.path_of(key.digest)
        try:
            make_private(self.root)
            self._make_folder(path.parent)
            size = write_entry(path, key, payload, information or {}, mode=self._file_mode())
        except OSError as error:
            self._writable = False
            _log.warning(
                "%s: cannot write in %s (%s); going on without storing",
                self.name, self.root, error.strerror or error,
            )  # fmt: skip
            return False
        self._keep_within_limit(size)
        return True

    def quarantine(self, path: Path, reason: str) -> None:
        """Sets a damaged entry aside, or deletes it where it cannot be moved."""
        _log.warning("%s: %s %s; it is made again", self.name, path, reason)
        target = self.root / _QUARANTINE / f"{path.stem}-{time.time_ns()}{_ENTRY_SUFFIX}"
        try:
            self._make_folder(target.parent)
            path.rename(target)
        except OSError:
            # Another process may have been faster, or the directory is read-only:
            # the entry stays a miss either way.
            _remove(path)

    def entries(self) -> Iterator[EntryInfo]:
        """Yields what is stored, in no particular order; headers are not verified."""
        for path, status in self._files():
            try:
                header = read_header(path)
            except (DamagedEntryError, OSError):
                header = None
            yield _entry_info(path, status, header)

    def stats(self) -> CacheStats:
        """Returns the totals."""
        infos = [_entry_info(path, status, None) for path, status in self._files()]
        return CacheStats(
            entries=len(infos),
            size=sum(info.size for info in infos),
            hits=sum(info.hits for info in infos),
            quarantined=sum(1 for _ in self._quarantined()),
        )

    def verify(self) -> tuple[int, list[tuple[Path, str]]]:
        """Reads every entry in full and sets the damaged ones aside.

        Returns:
            Number of good entries, and (file, reason) for each damaged one.
        """
        good, damaged = 0, []
        for path, _ in self._files():
            try:
                read_entry(path)
                good += 1
            except FileNotFoundError:
                continue  # Pruned by another process meanwhile.
            except (DamagedEntryError, OSError) as error:
                damaged.append((path, str(error)))
                self.quarantine(path, str(error))
        return good, damaged

    def prune(
        self, *, max_bytes: int | None = None, older_than_s: float | None = None
    ) -> tuple[int, int]:
        """Removes the entries used longest ago, and what killed processes left behind.

        Args:
            max_bytes: Size to get below; None keeps whatever the age allows.
            older_than_s: Also remove what was not used for so many seconds.

        Returns:
            Number of entries removed and bytes freed.
        """
        self._remove_abandoned()
        infos = [_entry_info(path, status, None) for path, status in self._files()]
        infos.sort(key=lambda info: info.last_used)
        size = sum(info.size for info in infos)
        oldest_kept = time.time() - older_than_s if older_than_s is not None else None
        removed = freed = 0
        for info in infos:
            too_large = max_bytes is not None and size > max_bytes
            too_old = oldest_kept is not None and info.last_used < oldest_kept
            if not (too_large or too_old):
                continue
            _remove(info.path)
            _remove(info.path.with_suffix(_USED_SUFFIX))
            size -= info.size
            removed, freed = removed + 1, freed + info.size
        self._size = size
        return removed, freed

    def clear(self) -> tuple[int, int]:
        """Removes every entry and everything in quarantine.

        Returns:
            Number of entries removed and bytes freed.
        """
        removed, freed = self.prune(max_bytes=-1)
        for path in list(self._quarantined()):
            with contextlib.suppress(OSError):
                freed += path.stat().st_size
            _remove(path)
        return removed, freed

    def _make_folder(self, folder: Path) -> None:
        """Makes a directory of the cache as open as the cache itself, whatever the umask."""
        try:
            folder.mkdir(mode=0o700)
        except FileExistsError:
            return
        folder.chmod(stat.S_IMODE(self.root.stat().st_mode))

    def _file_mode(self) -> int:
        return self.root.stat().st_mode & 0o666

    def _files(self) -> Iterator[tuple[Path, os.stat_result]]:
        for path in self.root.glob(f"[0-9a-f][0-9a-f]/*{_ENTRY_SUFFIX}"):
            if not is_temporary(path):
                try:
                    yield path, path.stat()
                except OSError:
                    continue  # Pruned or replaced by another process meanwhile.

    def _quarantined(self) -> Iterator[Path]:
        yield from (self.root / _QUARANTINE).glob(f"*{_ENTRY_SUFFIX}")

    def _remove_abandoned(self) -> None:
        for path in self.root.glob("[0-9a-f][0-9a-f]/.*"):
            try:
                abandoned = time.time() - path.stat().st_mtime > _ABANDONED_AFTER_S
            except OSError:
                continue
            if abandoned and is_temporary(path):
                _remove(path)

    def _count_hit(self, path: Path) -> None:
        # One appended byte a hit: needs no lock, and a hit lost on a network file
        # system only makes a count one too small.
        try:
            descriptor = os.open(
                path.with_suffix(_USED_SUFFIX),
                os.O_WRONLY | os.O_APPEND | os.O_CREAT,
                self._file_mode(),
            )
        except OSError:
            return  # Read-only cache: entries are served all the same.
        try:
            os.write(descriptor, b".")
        except OSError:
            return  # Disk full.
        finally:
            os.close(descriptor)

    def _keep_within_limit(self, added: int) -> None:
        if self.max_bytes is None:
            return
        if self._size is None:
            self._size = sum(status.st_size for _, status in self._files())
        else:
            self._size += added
        if self._size > self.max_bytes:
            removed, freed = self.prune(max_bytes=int(self.max_bytes * _PRUNE_TO))
            _log.info(
                "%s: removed the %d entries used longest ago (%.1f MB) to stay below %.1f MB",
                self.name, removed, freed / 1e6, self.max_bytes / 1e6,
            )  # fmt: skip

    def _check_trust(self) -> None:
        """Says once when others could put entries here: results would rest on theirs."""
        if self._trust_checked:
            return
        self._trust_checked = True
        try:
            problem = trust_problem(self.root.stat())
        except OSError:
            return
        if problem:
            _log.warning("%s: %s %s; entries are used as found", self.name, self.root, problem)


def _entry_info(path: Path, status: os.stat_result, header: EntryHeader | None) -> EntryInfo:
    try:
        used = path.with_suffix(_USED_SUFFIX).stat()
        hits, last_used = used.st_size, max(used.st_mtime, status.st_mtime)
    except OSError:
        hits, last_used = 0, status.st_mtime
    return EntryInfo(
        digest=path.stem,
        path=path,
        size=status.st_size,
        created=header.created if header else status.st_mtime,
        last_used=last_used,
        hits=hits,
        header=header,
    )


def _remove(path: Path) -> None:
    try:
        path.unlink()
    except OSError:
        return  # Already gone, or not ours to remove.
