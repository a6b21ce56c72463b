"""Whether those who hold claims are alive, judged for many claims at once.

`judge` is a pure function of what was read before: the claims, the process table of
this node, one answer of the scheduler and the clock. It writes nothing and waits for
nothing, so it serves `af3opt status` as well as a process that wants a job.
"""

import dataclasses
import enum
import os
import socket
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path

import psutil

from af3opt.execution.claims.holder import (
    Holder,
    SeenClaim,
    newest_claim,
    pid_namespace,
    see_claim,
)
from af3opt.host.queues.core import BatchJob
from af3opt.host.queues.every import QUEUES, JobName, LiveJobs, find_own_job

# A holder that no scheduler and no process table can vouch for is dead after this
# long without a heartbeat; it must outlast the stalls of a busy network file system.
STALE_SECONDS = 600.0

# One for the process: who waits for a job looks at its claim again and again.
_LIVE_JOBS = LiveJobs()


class Sign(enum.Enum):
    """What is known about the holder of a claim.

    Attributes:
        HELD: It is alive.
        FREE: It has let the job go, or is dead.
        SILENT: Its heartbeat is old and nothing else is known; clocks may be wrong.
    """

    HELD = enum.auto()
    FREE = enum.auto()
    SILENT = enum.auto()


@dataclasses.dataclass(frozen=True, slots=True)
class Verdict:
    """What is known about the holder of a claim, and why."""

    sign: Sign
    reason: str = ""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What claims are judged by.

    Attributes:
        host: Name of this node.
        namespace: Process id namespace of this process.
        running: Holders of this node and namespace whose process was found.
        own_job: The job this process runs in, or None.
        alive: Job -> whether it waits or runs, as far as schedulers told.
        now: Seconds since the epoch, by the file server's clock if possible.
    """

    host: str
    namespace: str
    running: Collection[Holder]
    own_job: BatchJob | None
    alive: Mapping[JobName, bool]
    now: float

    def is_near(self, holder: Holder) -> bool:
        """Tells whether this node's process table decides about a holder."""
        return holder.host == self.host and holder.namespace == self.namespace


def gather_evidence(
    claims: Iterable[SeenClaim], clock: Callable[[], float] | None = None
) -> Evidence:
    """Looks at processes and schedulers, once for all claims; writes nothing.

    Args:
        claims: What will be judged.
        clock: Reads the file server's clock; called if a heartbeat matters. None takes
            this node's, or the newest heartbeat if that is later.
    """
    seen = list(claims)
    host, namespace, own_job = socket.gethostname(), pid_namespace(), find_own_job(os.environ)
    near, asked = set(), set()
    for holder in {claim.holder for claim in seen if claim.holder is not None}:
        if holder.released:
            continue
        if (holder.host, holder.namespace) == (host, namespace):
            near.add(holder)
        elif holder.job_name is not None and not _is_of(own_job, holder):
            asked.add(holder.job_name)
    heartbeats_matter = any(
        claim.holder is None or not (claim.holder.released or claim.holder in near)
        for claim in seen
    )
    if clock is not None and heartbeats_matter:
        now = clock()
    else:
        now = max([time.time(), *(claim.modified for claim in seen)])
    return Evidence(
        host=host,
        namespace=namespace,
        running=frozenset(filter(_is_running, near)),
        own_job=own_job,
        alive=_LIVE_JOBS.ask(asked),
        now=now,
    )


def judge[Key](claims: Mapping[Key, SeenClaim], evidence: Evidence) -> dict[Key, Verdict]:
    """Judges claims; see the module.

    Args:
        claims: The claims, by whatever names them.
        evidence: From `gather_evidence` for these claims or more.
    """
    return {key: _judge(claim, evidence) for key, claim in claims.items()}


@dataclasses.dataclass(frozen=True, slots=True)
class Standing:
    """Where a job stands by its newest claim.

    Attributes:
        claim: The claim.
        verdict: Whether its holder is alive.
    """

    claim: SeenClaim
    verdict: Verdict

    @property
    def claimed_by(self) -> str:
        """Who claimed the job, for people."""
        holder = self.claim.holder
        if holder is None:
            return "somebody whose claim cannot be read"
        if holder.job is not None:
            return f"{_title(holder)} job {holder.job} on {holder.host}"
        return f"process {holder.process_id} on {holder.host}"


def look_at_claims(directories: Iterable[Path]) -> dict[Path, Standing]:
    """Reads and judges the newest claims of many jobs together; writes nothing.

    Args:
        directories: The jobs' own directories; those without a claim are left out.
    """
    claims = {}
    for directory in directories:
        newest = newest_claim(directory)
        seen = see_claim(newest) if newest is not None else None
        if seen is not None:
            claims[directory] = seen
    verdicts = judge(claims, gather_evidence(claims.values()))
    return {path: Standing(claims[path], verdict) for path, verdict in verdicts.items()}


def _judge(claim: SeenClaim, evidence: Evidence) -> Verdict:
    holder, silent = claim.holder, evidence.now - claim.modified
    if holder is None:
        damaged = silent > STALE_SECONDS
        return Verdict(Sign.FREE, "its claim is unreadable") if damaged else Verdict(Sign.HELD)
    if holder.released:
        return Verdict(Sign.FREE, "it was released")
    if evidence.is_near(holder):
        if holder in evidence.running:
            return Verdict(Sign.HELD)
        return Verdict(Sign.FREE, f"process {holder.process_id} is gone")
    told = _judge_by_job(holder, evidence)
    if told is not None:
        return told
    if silent <= STALE_SECONDS:
        return Verdict(Sign.HELD)
    return Verdict(Sign.SILENT, f"no sign of life for {silent:.0f} s")


def _judge_by_job(holder: Holder, evidence: Evidence) -> Verdict | None:
    """What is known from the holder's job; None when that does not decide."""
    if holder.job_name is None:
        return None
    job = f"{_title(holder)} job {holder.job}"
    own = evidence.own_job
    if own is not None and _is_of(own, holder):
        # Alive for the scheduler, as this process belongs to it. What it was before it
        # was requeued is not; on its other nodes only heartbeats tell.
        if holder.job_restarts < own.restarts:
            return Verdict(Sign.FREE, f"{job} was requeued")
        return None
    alive = evidence.alive.get(holder.job_name)
    if alive is None:
        return None
    return Verdict(Sign.HELD) if alive else Verdict(Sign.FREE, f"{job} has ended")


def _title(holder: Holder) -> str:
    """The holder's scheduler for people; a claim may name one that this version does not know."""
    queue = QUEUES.get(holder.scheduler)
    return queue.title if queue is not None else holder.scheduler


def _is_of(job: BatchJob | None, holder: Holder) -> bool:
    """Tells whether a holder belongs to a job."""
    return job is not None and (job.scheduler, job.label) == holder.job_name


def _is_running(holder: Holder) -> bool:
    """Tells whether the holder's process still runs on this node."""
    try:
        started = float(psutil.Process(holder.process_id).create_time())
    except psutil.Error:
        return False
    return abs(started - holder.process_start) < 2
