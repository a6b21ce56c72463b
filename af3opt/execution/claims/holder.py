"""Who holds a claim, and what its file tells."""

import contextlib
import dataclasses
import os
import socket
from pathlib import Path

import psutil

from af3opt.base.json_files import read_json
from af3opt.host.queues.every import JobName, find_own_job

_MOST_BYTES = 100_000
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
# Linux tells starts in hundredths of a second, and its own boot in seconds.
_SAME_START_SECONDS = 2.0


@dataclasses.dataclass(frozen=True, slots=True)
class Machine:
    """Where process ids mean what they mean to this process.

    Attributes:
        host: Node name; cloned machines may share it.
        boot: Random id that Linux chooses at each boot; "" if unknown.
        namespace: Process id namespace: containers on one node may have their own.
    """

    host: str
    boot: str
    namespace: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """Who holds a claim.

    Attributes:
        host: Node name.
        process_id: Process on that node.
        process_start: When it started, seconds since the epoch, for earlier versions.
        namespace: Process id namespace, see `Machine`.
        boot: Boot of that node, see `Machine`; "" in claims of earlier versions.
        process_uptime: Seconds from that boot to the start of the process (ids are
            reused); unlike `process_start` it stays the same when the clock is set.
        job: The scheduler's job as `BatchJob.label` writes it, or None outside one.
        job_restarts: How often that job had been put back into the queue.
        scheduler: Name of that scheduler.
        released: The holder has let the job go.
    """

    host: str
    process_id: int
    process_start: float
    namespace: str
    boot: str = ""
    process_uptime: float = -1.0
    job: str | None
    job_restarts: int = 0
    scheduler: str = "slurm"
    released: bool = False

    @property
    def job_name(self) -> JobName | None:
        """Scheduler and job, None outside one."""
        return None if self.job is None else (self.scheduler, self.job)

    @property
    def machine(self) -> Machine:
        """Where it runs."""
        return Machine(self.host, self.boot, self.namespace)

    def is_same_process(self, other: "Holder") -> bool:
        """Tells whether two claims are of one process, whatever else they tell."""
        return (
            bool(self.boot)
            and (self.machine, self.process_id) == (other.machine, other.process_id)
            and abs(self.process_uptime - other.process_uptime) < _SAME_START_SECONDS
        )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _EarlierHolder:
    """A holder as earlier versions wrote it, when Slurm was the only scheduler."""

    host: str
    process_id: int
    process_start: float
    namespace: str
    slurm_job: str | None
    slurm_restarts: int = 0
    released: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class SeenClaim:
    """A claim's file as it was at one moment.

    Attributes:
        path: The file.
        holder: Who wrote it, or None when it cannot be read.
        modified: Last heartbeat, seconds since the epoch by the file server's clock.
    """

    path: Path
    holder: Holder | None
    modified: float


def this_process() -> Holder:
    """Describes the running process."""
    process = psutil.Process()
    job = find_own_job(os.environ)
    machine = this_machine()
    return Holder(
        host=machine.host,
        process_id=process.pid,
        process_start=process.create_time(),
        namespace=machine.namespace,
        boot=machine.boot,
        process_uptime=process.create_time() - psutil.boot_time(),
        job=job.label if job is not None else None,
        job_restarts=job.restarts if job is not None else 0,
        scheduler=job.scheduler if job is not None else "slurm",
    )


def is_running(holder: Holder, *, pool: int | None = None) -> bool:
    """Tells whether a holder on this machine still runs.

    Args:
        holder: Who holds a claim.
        pool: A process that looks at what its children held when they died, and waits for
            them only then: a dead child that it has not waited for counts as running.
    """
    try:
        process = psutil.Process(holder.process_id)
        if process.status() == psutil.STATUS_ZOMBIE and process.ppid() != pool:
            return False
        uptime = float(process.create_time() - psutil.boot_time())
    except psutil.Error:
        return False
    return abs(uptime - holder.process_uptime) < _SAME_START_SECONDS


def this_machine() -> Machine:
    """Describes where this process runs."""
    boot = namespace = ""
    with contextlib.suppress(OSError):
        boot = _BOOT_ID.read_text(encoding="ascii").strip()
    with contextlib.suppress(OSError):
        namespace = os.readlink("/proc/self/ns/pid")  # noqa: PTH115 - no path: "pid:[inode]"
    return Machine(socket.gethostname(), boot, namespace)


def newest_claim(directory: Path) -> Path | None:
    """Returns the claim that counts for the job of a directory, or None without any."""
    return max(claims_in(directory), key=claim_number, default=None)


def claims_in(directory: Path) -> list[Path]:
    """Returns all claims of the job of a directory, in any order."""
    return [path for path in directory.glob("claim-*") if claim_number(path) >= 0]


def claim_number(path: Path) -> int:
    """The N of a `claim-N`, -1 for other files."""
    digits = path.name.removeprefix("claim-")
    return int(digits) if digits.isdigit() else -1


def see_claim(path: Path) -> SeenClaim | None:
    """Reads a claim and its last heartbeat; None when it is gone."""
    try:
        modified = path.stat().st_mtime
    except OSError:
        return None
    return SeenClaim(path, read_holder(path), modified)


def read_holder(path: Path) -> Holder | None:
    """Reads who holds a claim; None when the file cannot be read."""
    holder = read_json(path, Holder, most_bytes=_MOST_BYTES)
    earlier = read_json(path, _EarlierHolder, most_bytes=_MOST_BYTES) if holder is None else None
    if earlier is None:
        return holder
    return Holder(
        host=earlier.host,
        process_id=earlier.process_id,
        process_start=earlier.process_start,
        namespace=earlier.namespace,
        job=earlier.slurm_job,
        job_restarts=earlier.slurm_restarts,
        released=earlier.released,
    )
