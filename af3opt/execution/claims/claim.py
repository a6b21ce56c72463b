"""Who works on a job, agreed through a shared directory and nothing else.

Several processes, on several nodes, may share one output directory. A job is held
by whoever created the highest numbered `claim-N` file in the job's directory. Hard
links make that creation atomic on local and network file systems (`O_EXCL` was not
on old NFS, and `flock` may be missing or local to a node). A dead holder is not
removed but outnumbered: only one process can create `claim-N+1`, so there is no
moment in which two take the same job over.
"""

import contextlib
import dataclasses
import json
import logging
import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil

from af3opt.base.atomic import atomic_write_text, temporary_sibling
from af3opt.host.queues.core import BatchJob
from af3opt.host.queues.every import QUEUES, find_own_job

_log = logging.getLogger(__name__)

HEARTBEAT_SECONDS = 20.0
# A holder that no scheduler and no process table can vouch for is dead after this
# long without a heartbeat; it must outlast the stalls of a busy network file system.
STALE_SECONDS = 600.0
_HEARTBEATS_AWAITED = 2.5


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """Who holds a claim.

    Attributes:
        host: Node name.
        process_id: Process on that node.
        process_start: When it started, seconds since the epoch (ids are reused).
        namespace: Process id namespace: containers on one node may have their own.
        slurm_job: Slurm job id (`ARRAY_TASK` form for array tasks), or None.
        slurm_restarts: How often that job had been requeued.
        released: The holder has let the job go.
    """

    host: str
    process_id: int
    process_start: float
    namespace: str
    slurm_job: str | None
    slurm_restarts: int = 0
    released: bool = False


def this_process() -> Holder:
    """Describes the running process."""
    process = psutil.Process()
    job = _own_slurm_job()
    return Holder(
        host=socket.gethostname(),
        process_id=process.pid,
        process_start=process.create_time(),
        namespace=_pid_namespace(),
        slurm_job=job.label if job is not None else None,
        slurm_restarts=job.restarts if job is not None else 0,
    )


def _own_slurm_job() -> BatchJob | None:
    job = find_own_job(os.environ)
    return job if job is not None and job.scheduler == "slurm" else None


def _pid_namespace() -> str:
    try:
        return os.readlink("/proc/self/ns/pid")  # noqa: PTH115 - not a path, but "pid:[inode]"
    except OSError:
        return ""


class Claim:
    """A claim this process holds."""

    def __init__(self, path: Path, holder: Holder) -> None:
        self._path = path
        self._holder = holder

    def beat(self) -> None:
        """Shows that the holder is alive."""
        with contextlib.suppress(OSError):
            os.utime(self._path)

    def is_current(self) -> bool:
        """Tells whether nobody has taken the job over meanwhile."""
        newest = _newest_claim(self._path.parent)
        return newest is not None and newest == self._path

    def release(self) -> None:
        """Lets the job go, for others to take without waiting."""
        with contextlib.suppress(OSError):
            _write(self._path, dataclasses.replace(self._holder, released=True))


def try_claim(directory: Path) -> Claim | None:
    """Claims the job of `directory`, or returns None when a live process holds it.

    Args:
        directory: The job's own directory; created if missing.

    Raises:
        OSError: the directory cannot be written.
    """
    directory.mkdir(parents=True, exist_ok=True)
    newest = _newest_claim(directory)
    number = 0
    if newest is not None:
        reason = _why_free(newest)
        if reason is None:
            return None
        number = _claim_number(newest) + 1
        _log.info("Taking over %s: %s", directory.name, reason)
    path = directory / f"claim-{number}"
    holder = this_process()
    return Claim(path, holder) if _create(path, holder) else None


@contextlib.contextmanager
def keep_alive(claim: Claim) -> Iterator[None]:
    """Sends heartbeats for `claim` while the block runs, then releases it."""
    stop = threading.Event()

    def beat() -> None:
        while not stop.wait(HEARTBEAT_SECONDS):
            claim.beat()

    thread = threading.Thread(target=beat, name="claim-heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        claim.release()


def current_holder(directory: Path) -> Holder | None:
    """Returns who holds the job of `directory` and is alive, or None."""
    newest = _newest_claim(directory)
    if newest is None or _why_free(newest) is not None:
        return None
    return _read(newest)


def newest_holder(directory: Path) -> Holder | None:
    """Returns who claimed the job of `directory` last, alive or not, or None."""
    newest = _newest_claim(directory)
    return None if newest is None else _read(newest)


def _newest_claim(directory: Path) -> Path | None:
    claims = [path for path in directory.glob("claim-*") if _claim_number(path) >= 0]
    return max(claims, key=_claim_number, default=None)


def _claim_number(path: Path) -> int:
    digits = path.name.removeprefix("claim-")
    return int(digits) if digits.isdigit() else -1


def _create(path: Path, holder: Holder) -> bool:
    """Creates a claim with its content in one step; False when it exists already."""
    temporary = temporary_sibling(path)
    try:
        temporary.write_text(json.dumps(dataclasses.asdict(holder)))
        os.link(temporary, path)
    except FileExistsError:
        return False
    finally:
        # Also after a write that found the disk full: the empty file is there.
        temporary.unlink(missing_ok=True)
    return True


def _write(path: Path, holder: Holder) -> None:
    atomic_write_text(path, json.dumps(dataclasses.asdict(holder)))


def _read(path: Path) -> Holder | None:
    try:
        content: Any = json.loads(path.read_text())
        return Holder(**content)
    except (OSError, ValueError, TypeError):
        return None


def _why_free(path: Path) -> str | None:
    """Says why the job of a claim may be taken, or None when its holder is alive."""
    holder = _read(path)
    if holder is None:
        return "its claim is unreadable" if _silent_seconds(path) > STALE_SECONDS else None
    if holder.released:
        return "it was released"
    if holder.host == socket.gethostname() and holder.namespace == _pid_namespace():
        return None if _is_running(holder) else f"process {holder.process_id} is gone"
    own_job = _own_slurm_job()
    if own_job is not None and holder.slurm_job == own_job.label:
        # Alive for Slurm, as this process belongs to it. What it was before it was
        # requeued is not; on its other nodes only heartbeats tell.
        if holder.slurm_restarts < own_job.restarts:
            return f"Slurm job {holder.slurm_job} was requeued"
    elif holder.slurm_job is not None:
        alive = slurm_job_is_alive(holder.slurm_job)
        if alive is not None:
            return None if alive else f"Slurm job {holder.slurm_job} has ended"
    silent = _silent_seconds(path)
    if silent <= STALE_SECONDS or _beats(path):
        return None
    return f"no sign of life for {silent:.0f} s"


def _beats(path: Path) -> bool:
    """Watches for a heartbeat: a clock that was set makes a live claim look old."""
    seen = _modified(path)
    end = time.monotonic() + _HEARTBEATS_AWAITED * HEARTBEAT_SECONDS
    while time.monotonic() < end:
        time.sleep(HEARTBEAT_SECONDS / 10)
        if _modified(path) != seen:
            return True
    return False


def _modified(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


def _is_running(holder: Holder) -> bool:
    """Tells whether the holder's process still runs on this node."""
    try:
        started = float(psutil.Process(holder.process_id).create_time())
    except psutil.Error:
        return False
    return abs(started - holder.process_start) < 2


def _silent_seconds(path: Path) -> float:
    """Seconds since the last heartbeat, by the file server's clock on both sides."""
    probe = temporary_sibling(path)
    try:
        probe.touch()
        now = probe.stat().st_mtime
        return now - path.stat().st_mtime
    except OSError:
        return 0.0
    finally:
        probe.unlink(missing_ok=True)


def slurm_job_is_alive(job: str) -> bool | None:
    """Asks Slurm whether a job is still there; None when Slurm cannot tell."""
    return QUEUES["slurm"].alive([job]).get(job)
