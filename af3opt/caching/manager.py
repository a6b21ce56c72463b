"""`CacheManager`: a directory of entries that many processes share without locks.

Writers replace entries by rename, readers verify what they read, so no lock is
needed, not even on network file systems where locks are unreliable. Entries have the
permissions of `<root>`: private in one that is made here, shared in one whose owner
has opened it to a group.
"""

import dataclasses
import logging
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from af3opt.base.json_types import Json
from af3opt.base.key import CacheKey, differences
from af3opt.base.ownership import RefusedFileError, trust_problem
from af3opt.base.paths import make_private
from af3opt.caching.entry import (
    Buffer,
    DamagedEntryError,
    EntryHeader,
    read_entry,
    read_header,
    reason_of,
    write_entry,
)
from af3opt.caching.files import CacheFiles

_log = logging.getLogger(__name__)

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

    def __init__(
        self, name: str, root: Path, *, max_bytes: int | None = None, private: bool = False
    ) -> None:
        """Describes a cache; nothing is created before the first `put`.

        Args:
            name: What messages call it, such as "feature cache".
            root: Its directory.
            max_bytes: Size that `put` keeps it within; None for no limit.
            private: Read only what nobody but this user and root can have written, as
                entries that are code need. Otherwise they are used as found, with one
                warning where others can write.
        """
        self.name = name
        self.root = root
        self.max_bytes = max_bytes
        self._files = CacheFiles(root)
        self._private = private
        self._writable = True
        self._size: int | None = None
        self._trust_checked = private

    def path_of(self, digest: str) -> Path:
        """Returns the file of an entry, which may not exist."""
        return self._files.path_of(digest)

    def get(self, key: CacheKey) -> memoryview | None:
        """Returns the payload stored under `key`, or None.

        A damaged entry is set aside with one warning and counts as a miss, so
        that the next `put` repairs it.
        """
        if not self._trust_checked:
            self._trust_checked = True
            _warn_of_others(self.name, self.root)
        path = self.path_of(key.digest)
        try:
            header, payload = read_entry(path, private=self._private)
        except FileNotFoundError:
            return None
        except DamagedEntryError as error:
            self.quarantine(path, str(error))
            return None
        except RefusedFileError as error:
            if error.filename == str(path):
                self.quarantine(path, reason_of(error))
            else:
                _log.warning("%s not used: %s", self.name, error)
            return None
        except OSError as error:
            _log.warning("%s: cannot read %s: %s", self.name, path, error.strerror or error)
            return None
        if differences(dict(key.material), dict(header.material)):
            self.quarantine(path, "was stored under another key")
            return None
        self._files.count_hit(path)
        return payload

    def seconds_to_make(self, key: CacheKey) -> float:
        """Returns the `seconds` of an entry's information, or 0.0 where there are none."""
        try:
            seconds = read_header(self.path_of(key.digest)).information.get("seconds")
            return max(float(seconds), 0.0) if isinstance(seconds, int | float) else 0.0
        except (DamagedEntryError, OSError, OverflowError):
            return 0.0

    def put(
        self,
        key: CacheKey,
        payload: Sequence[Buffer],
        information: Mapping[str, Json] | None = None,
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
            self._files.make_folder(path.parent)
            mode = self._files.file_mode()
            size = write_entry(path, key, payload, information or {}, mode=mode)
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
        self._files.quarantine.set_aside(path)

    def entries(self) -> Iterator[EntryInfo]:
        """Yields what is stored, in no particular order; headers are not verified."""
        for info in _infos(self._files):
            try:
                header = read_header(info.path)
            except (DamagedEntryError, OSError):
                yield info
            else:
                yield dataclasses.replace(info, header=header, created=header.created)

    def stats(self) -> CacheStats:
        """Returns the totals."""
        infos = _infos(self._files)
        return CacheStats(
            entries=len(infos),
            size=sum(info.size for info in infos),
            hits=sum(info.hits for info in infos),
            quarantined=len(self._files.quarantine.content()),
        )

    def verify(self) -> tuple[int, list[tuple[Path, str]]]:
        """Reads every entry in full and sets the damaged ones aside.

        Returns:
            Number of good entries, and (file, reason) for each damaged one.
        """
        good, damaged = 0, []
        for path, _ in self._files.entries():
            try:
                read_entry(path)
                good += 1
            except FileNotFoundError:
                continue  # Pruned by another process meanwhile.
            except (DamagedEntryError, OSError) as error:
                damaged.append((path, reason_of(error)))
                self.quarantine(path, reason_of(error))
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
        self._files.remove_abandoned()
        infos = _infos(self._files)
        infos.sort(key=lambda info: info.last_used)
        size = sum(info.size for info in infos)
        oldest_kept = time.time() - older_than_s if older_than_s is not None else None
        removed = freed = 0
        for info in infos:
            too_large = max_bytes is not None and size > max_bytes
            too_old = oldest_kept is not None and info.last_used < oldest_kept
            if not (too_large or too_old):
                continue
            self._files.remove(info.path)
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
        return removed, freed + self._files.quarantine.clear()

    def _keep_within_limit(self, added: int) -> None:
        if self.max_bytes is None:
            return
        if self._size is None:
            self._size = sum(status.st_size for _, status in self._files.entries())
        else:
            self._size += added
        if self._size > self.max_bytes:
            removed, freed = self.prune(max_bytes=int(self.max_bytes * _PRUNE_TO))
            _log.info(
                "%s: removed the %d entries used longest ago (%.1f MB) to stay below %.1f MB",
                self.name, removed, freed / 1e6, self.max_bytes / 1e6,
            )  # fmt: skip


def _warn_of_others(name: str, root: Path) -> None:
    """Says when others could put entries here: results would rest on theirs."""
    try:
        problem = trust_problem(root.stat())
    except OSError:
        return
    if problem:
        _log.warning("%s: %s %s; entries are used as found", name, root, problem)


def _infos(files: CacheFiles) -> list[EntryInfo]:
    return [_entry_info(*found) for found in files.entries_with_use()]


def _entry_info(path: Path, status: os.stat_result, hits: int, last_hit: float) -> EntryInfo:
    return EntryInfo(
        digest=path.stem,
        path=path,
        size=status.st_size,
        created=status.st_mtime,
        last_used=max(last_hit, status.st_mtime),
        hits=hits,
        header=None,
    )
