"""Whether those who hold claims are alive, judged for many claims at once.

`judge` is a pure function of what was read before: the claims, the process table of
this node, one answer of the scheduler and the clock. It writes nothing and waits for
nothing, so it serves `af3opt status` as well as a process that wants a job.
"""

import dataclasses
import enum
import functools
import os
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path

from af3opt.execution.claims.holder import (
    Holder,
    Machine,
    SeenClaim,
    is_running,
    newest_claim,
    see_claim,
    this_machine,
    this_process,
)
from af3opt.host.queues.core import BatchJob
from af3opt.host.queues.every import QUEUES, JobName, LiveJobs, find_own_job

# A holder that no scheduler and no process table can vouch for is dead after this
# long without a heartbeat; it must outlast the stalls of a busy network file system.
STALE_SECONDS = 600.0
# A holder that beats has done so within this time.
FRESH_SECONDS = 50.0


class Sign(enum.Enum):
    """What is known about the holder of a claim.

    Attributes:
        HELD: It is alive.
        FREE: It has let the job go, or is dead.
        DOUBTED: A scheduler takes it for dead, but its last heartbeat is fresh. The next
            one would prove it alive: schedulers of two clusters may use the same ids.
        SILENT: Its heartbeat is old and nothing else is known; clocks may be wrong.
    """

    HELD = enum.auto()
    FREE = enum.auto()
    DOUBTED = enum.auto()
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
        machine: Where this process runs.
        running: Holders on this machine whose process was found.
        let_go: Claims that name this process and that it does not hold any more.
        own_job: The job this process runs in, or None.
        alive: Job -> whether it waits or runs, as far as schedulers told.
        now: Seconds since the epoch, by the file server's clock if possible.
    """

    machine: Machine
    running: Collection[Holder]
    let_go: Collection[Path]
    own_job: BatchJob | None
    alive: Mapping[JobName, bool]
    now: float

    def is_near(self, holder: Holder) -> bool:
        """Tells whether this node's process table decides about a holder."""
        return _is_near(holder, self.machine)


@functools.cache
def live_jobs() -> LiveJobs:
    """One for the process: who waits for a job looks at its claim again and again."""
    return LiveJobs()


def gather_evidence(
    claims: Iterable[SeenClaim],
    clock: Callable[[], float] | None = None,
    *,
    machine: Machine | None = None,
    held: Collection[Path] | None = None,
    pool: int | None = None,
) -> Evidence:
    """Looks at processes and schedulers, once for all claims; writes nothing.

    Args:
        claims: What will be judged.
        clock: Reads the file server's clock; called if a heartbeat matters. None takes
            this node's, or the newest heartbeat if that is later.
        machine: Where this process runs; None finds out.
        held: The claims that this process holds, if it may be asked about its own.
        pool: The pool that this process works for, see `is_running`.
    """
    seen = list(claims)
    machine, own_job = machine or this_machine(), find_own_job(os.environ)
    near, asked = set(), set()
    for holder in {claim.holder for claim in seen if claim.holder is not None}:
        if holder.released:
            continue
        if _is_near(holder, machine):
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
        machine=machine,
        running=frozenset(holder for holder in near if is_running(holder, pool=pool)),
        let_go=() if held is None else _let_go(seen, held),
        own_job=own_job,
        alive=live_jobs().ask(asked),
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
    holder = claim.holder
    if holder is not None:
        if holder.released:
            return Verdict(Sign.FREE, "it was released")
        if claim.path in evidence.let_go:
            return Verdict(Sign.FREE, "this process has let it go")
        if evidence.is_near(holder):
            if holder in evidence.running:
                return Verdict(Sign.HELD)
            return Verdict(Sign.FREE, f"process {holder.process_id} is gone")
    silent = evidence.now - claim.modified
    told = _judge_by_job(holder, evidence) if holder is not None else None
    if told is not None:
        doubted = told.sign is Sign.FREE and abs(silent) <= FRESH_SECONDS
        return Verdict(Sign.DOUBTED, told.reason) if doubted else told
    if abs(silent) <= STALE_SECONDS:
        return Verdict(Sign.HELD)
    if silent < 0:
        return Verdict(Sign.SILENT, f"its last sign of life is {-silent:.0f} s in the future")
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


def _is_near(holder: Holder, machine: Machine) -> bool:
    return bool(machine.boot) and holder.machine == machine


def _let_go(claims: Iterable[SeenClaim], held: Collection[Path]) -> frozenset[Path]:
    """Claims that name this process though it holds them no more: it could not say so."""
    own = this_process()
    return frozenset(
        claim.path
        for claim in claims
        if claim.holder is not None
        and claim.holder.is_same_process(own)
        and claim.path.resolve() not in held
    )
