"""Chains whose search has failed in this run: nobody has to wait for the same end again.

What fails once usually fails for every job that has the chain, and a search takes minutes. So
the reason is kept beside the leases, for all processes of the run: those that were running
then, and those of the same array of a scheduler. A node may be at fault itself, so another
node tries once more; what has failed on two is not tried a third time. The next run tries all
of it again.
"""

import contextlib
import dataclasses
import hashlib
import os
import socket
import threading
from pathlib import Path

from af3opt.base.file_clock import file_server_ns
from af3opt.base.json_files import read_json, write_json
from af3opt.base.key import CacheKey, json_digest
from af3opt.host.queues.every import find_own_job

_PREFIX = "failed-"
_MOST_BYTES = 100_000
_MOST_NODES = 2
# What of a key is about the chain.
_OF_THE_CHAIN = ("kind", "sequence", "given")
# No file is as young as this.
_NEVER = 1 << 63


@dataclasses.dataclass(frozen=True, slots=True)
class _Failure:
    """One failed search.

    Attributes:
        host: Node it failed on.
        array: The scheduler's array that its process belongs to; "" for none.
        reason: One line.
    """

    host: str
    array: str
    reason: str


class FailedSearches:
    """What this process knows of failed searches."""

    def __init__(self, directory: Path | None) -> None:
        """Remembers nothing yet.

        Args:
            directory: Where the leases of chains lie; None to share nothing.
        """
        self._directory = directory
        self._lock = threading.Lock()
        self._own: dict[str, str] = {}
        self._host = socket.gethostname()
        self._array = _own_array()
        self._begun_ns = _now_ns(directory)

    def note(self, key: CacheKey, reason: str) -> None:
        """Notes that a search of this process has failed.

        Args:
            key: The chain's in the MSA cache.
            reason: One line.
        """
        digest = _chain_digest(key)
        with self._lock:
            self._own[digest] = reason
        if self._directory is None:
            return
        host = hashlib.sha256(self._host.encode()).hexdigest()[:12]
        with contextlib.suppress(OSError):
            folder = self._directory / digest
            folder.mkdir(parents=True, exist_ok=True)
            write_json(folder / f"{_PREFIX}{host}.json", _Failure(self._host, self._array, reason))

    def reason(self, key: CacheKey) -> str | None:
        """Why a chain is not searched again in this run; None if it may be.

        Args:
            key: The chain's in the MSA cache.
        """
        digest = _chain_digest(key)
        with self._lock:
            own = self._own.get(digest)
        if own is not None:
            return own
        failures = self._of_this_run(digest)
        told = [one for one in failures if one.host == self._host]
        if not told and len({one.host for one in failures}) >= _MOST_NODES:
            told = failures
        if not told:
            return None
        return f"{told[0].reason} (found in this run by another process, on {told[0].host})"

    def _of_this_run(self, digest: str) -> list[_Failure]:
        if self._directory is None:
            return []
        found = []
        for path in sorted((self._directory / digest).glob(f"{_PREFIX}*.json")):
            failure = read_json(path, _Failure, most_bytes=_MOST_BYTES)
            with contextlib.suppress(OSError):
                later = path.stat().st_mtime_ns >= self._begun_ns
                if failure is not None and (later or self._is_of_own_array(failure)):
                    found.append(failure)
        return found

    def _is_of_own_array(self, failure: _Failure) -> bool:
        return bool(self._array) and failure.array == self._array


def _chain_digest(key: CacheKey) -> str:
    """The chain whatever the databases: one that was cut during a search is another since then.

    What it has now must not be searched as if nothing had happened.
    """
    return json_digest({name: key.material.get(name) for name in _OF_THE_CHAIN})


def _own_array() -> str:
    job = find_own_job(os.environ)
    return "" if job is None or job.array_job_id is None else f"{job.scheduler} {job.array_job_id}"


def _now_ns(directory: Path | None) -> int:
    """Now, by the clock that stamps the files of a directory."""
    if directory is None:
        return _NEVER
    with contextlib.suppress(OSError):
        directory.mkdir(parents=True, exist_ok=True)
        return file_server_ns(directory / "begun")
    return _NEVER
