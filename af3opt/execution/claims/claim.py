"""Who works on a job, agreed through a shared directory and nothing else.

Several processes, on several nodes, may share one output directory. A job is held
by whoever created the highest numbered `claim-N` file in the job's directory. Hard
links make that creation atomic on local and network file systems (`O_EXCL` was not
on old NFS, and `flock` may be missing or local to a node). `exclusive_file` tells what
is done without them: a claim is empty for a moment then, and counts as held. A dead
holder is not removed but outnumbered: only one process can create `claim-N+1`, so
there is no moment in which two take the same job over.
"""

import contextlib
import dataclasses
import logging
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from af3opt.base.atomic import is_temporary_of
from af3opt.base.exclusive_file import Link, create
from af3opt.base.file_clock import file_server_ns
from af3opt.base.json_files import to_json, write_json
from af3opt.execution.claims.holder import (
    Holder,
    SeenClaim,
    claim_number,
    claims_in,
    newest_claim,
    read_holder,
    see_claim,
    this_process,
)
from af3opt.execution.claims.verdicts import (
    STALE_SECONDS,
    Sign,
    gather_evidence,
    judge,
    look_at_claims,
)
from af3opt.execution.claims.watch import ClaimWatch

_log = logging.getLogger(__name__)

HEARTBEAT_SECONDS = 20.0
_HEARTBEATS_AWAITED = 2.5
# Temporaries of claims are named after this, whatever the number of the claim.
_NAME = "claim"

# The claims that this process holds, by their real paths. A claim's file may still name
# this process when it could not be written any more, on a full disk for example.
_held: set[Path] = set()
# One for the process: claims that are watched for one job count as watched for the next.
_watch = ClaimWatch()


class Claim:
    """A claim this process holds."""

    def __init__(self, path: Path, holder: Holder) -> None:
        self._path = path
        self._holder = holder
        _held.add(path.resolve())

    def beat(self) -> None:
        """Shows that the holder is alive."""
        with contextlib.suppress(OSError):
            os.utime(self._path)

    def is_current(self) -> bool:
        """Tells whether nobody has taken the job over meanwhile."""
        newest = newest_claim(self._path.parent)
        return newest is not None and newest == self._path

    def release(self) -> None:
        """Lets the job go, for others to take without waiting."""
        _held.discard(self._path.resolve())
        with contextlib.suppress(OSError):
            _write(self._path, dataclasses.replace(self._holder, released=True))

    def is_of_rival(self, temporary: Path) -> bool:
        """Tells whether a live process may be about to make a claim of a temporary.

        What is in it tells whether its process is dead, where this node can know that. Else
        its age decides: both times are the file server's, so no clock of a node matters.

        Args:
            temporary: Unfinished side of an atomic write, in the job's directory.
        """
        if not is_temporary_of(temporary, temporary.with_name(_NAME)):
            return False
        seen = see_claim(temporary)
        if seen is not None and seen.holder is not None:
            verdict = judge({temporary: seen}, gather_evidence([seen]))[temporary]
            if verdict.sign is Sign.FREE:
                return False
        try:
            age = self._path.stat().st_mtime - temporary.lstat().st_mtime
        except OSError:
            return True
        return age < STALE_SECONDS


def try_claim(directory: Path, *, pool: int | None = None, link: Link = os.link) -> Claim | None:
    """Claims the job of `directory`, or returns None when a live process holds it.

    Args:
        directory: The job's own directory; created if missing.
        pool: The pool that this process works for: what a worker of it held when it died
            is left to the pool, which counts such deaths.
        link: Makes a hard link; another one in tests.

    Raises:
        OSError: the directory cannot be written.
    """
    directory.mkdir(parents=True, exist_ok=True)
    newest = newest_claim(directory)
    number = 0
    if newest is not None:
        seen = see_claim(newest)
        reason = None if seen is None else _why_free(seen, pool)
        if seen is None or reason is None:
            return None
        number = claim_number(newest) + 1
        # One that let go in order is nobody to take over from: this is the usual way on.
        if seen.holder is None or not seen.holder.released:
            _log.info("Taking over %s: %s", directory.name, reason)
    path = directory / f"claim-{number}"
    holder = this_process()
    made = create(path, to_json(holder), temporary_of=directory / _NAME, link=link)
    return Claim(path, holder) if made else None


@contextlib.contextmanager
def keep_alive(claim: Claim) -> Iterator[None]:
    """Sends heartbeats for `claim` while the block runs, then releases it."""
    stop = threading.Event()

    def beat() -> None:
        while not stop.wait(HEARTBEAT_SECONDS):
            claim.beat()

    thread = threading.Thread(target=beat, name="claim-heartbeat", daemon=True)
    try:
        # Where a limit allows no more threads, the claim is let go.
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()
    finally:
        claim.release()


def current_holder(directory: Path) -> Holder | None:
    """Returns who holds the job of `directory` and is not known to be dead, or None."""
    standing = look_at_claims([directory]).get(directory)
    if standing is None or standing.verdict.sign is Sign.FREE:
        return None
    return standing.claim.holder


def newest_holder(directory: Path) -> Holder | None:
    """Returns who claimed the job of `directory` last, alive or not, or None."""
    newest = newest_claim(directory)
    return None if newest is None else read_holder(newest)


def holders(directory: Path) -> list[Holder]:
    """Returns who has claimed the job of `directory`, in any order, as far as it can be read."""
    return [holder for holder in map(read_holder, claims_in(directory)) if holder is not None]


def _write(path: Path, holder: Holder) -> None:
    write_json(path, holder)


def _why_free(seen: SeenClaim, pool: int | None) -> str | None:
    """Says why the job of a claim may be taken, or None when its holder is alive."""
    path = seen.path
    evidence = gather_evidence([seen], lambda: _file_server_seconds(path), held=_held, pool=pool)
    verdict = judge({path: seen}, evidence)[path]
    if verdict.sign is Sign.HELD:
        return None
    awaited = _HEARTBEATS_AWAITED * HEARTBEAT_SECONDS
    if verdict.sign is not Sign.FREE and _watch.beats(path, awaited):
        return None
    return verdict.reason


def _file_server_seconds(path: Path) -> float:
    """Seconds since the epoch by the clock that stamps claims; this node's where it must do."""
    try:
        return file_server_ns(path.with_name(_NAME)) / 1e9
    except OSError:
        return time.time()
