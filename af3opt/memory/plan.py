"""Makes a job fit: what to change, or a refusal that names the numbers."""

import dataclasses
from collections.abc import Callable, Iterator

from af3opt.base.errors import SetupError
from af3opt.host.gpus import Gpu
from af3opt.host.host import Memory
from af3opt.memory.forecast import GIB, DeviceNeed, JobSize, host_bytes
from af3opt.memory.usage import available_bytes, children_bytes, resident_bytes

# The rest is the driver's, and what JAX leaves free (XLA_CLIENT_MEM_FRACTION).
_DEVICE_SHARE = 0.95


class MemoryShortageError(SetupError):
    """A job needs more memory than there is; the text names both.

    Attributes:
        spilling_helps: It would fit if the GPU might spill to host memory.
    """

    def __init__(self, text: str, *, spilling_helps: bool = False) -> None:
        super().__init__(text)
        self.spilling_helps = spilling_helps


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """What there is.

    Attributes:
        host_bytes: Host memory still available.
        host_limit: The limit behind it and who sets it, for messages.
        device_bytes: Memory of the device, None when the model runs in host memory.
        unified: Whether the device may spill to host memory.
    """

    host_bytes: int
    host_limit: Memory
    device_bytes: int | None
    unified: bool = False


def room_now(limit: Memory, gpu: Gpu | None, *, unified: bool = False) -> Room:
    """Measures what there is; JAX is not needed.

    Args:
        limit: The host's memory limit.
        gpu: The GPU the model will run on, or None.
        unified: Whether it may spill to host memory.
    """
    used = resident_bytes() + children_bytes()
    return Room(
        host_bytes=available_bytes(limit.limit_bytes, used),
        host_limit=limit,
        device_bytes=None if gpu is None else int(gpu.memory_bytes * _DEVICE_SHARE),
        unified=unified,
    )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class MemoryPlan:
    """How to run a job.

    Attributes:
        size: The job, with the samples and seeds to handle at once.
        warning: What the log must say, or "".
    """

    size: JobSize
    warning: str = ""


def plan_memory(
    size: JobSize,
    room: Room,
    device_need: Callable[[JobSize], DeviceNeed],
    *,
    can_split_samples: bool,
    force: bool = False,
) -> MemoryPlan:
    """Finds the least change that makes a job fit.

    Args:
        size: The job as asked for.
        room: What there is.
        device_need: Device memory of a job, such as `KnownPrograms.need`.
        can_split_samples: Whether samples can be computed in smaller groups.
        force: Try a job all the same when the numbers are certain that it does not fit.

    Returns:
        The plan. When the numbers are estimates and nothing fits by them, the job
        as asked for with a warning.

    Raises:
        MemoryShortageError: it is certain that the job cannot fit.
    """
    candidates = list(_smaller(size, can_split_samples=can_split_samples))
    for candidate in candidates:
        if _fits(candidate, room, device_need(candidate)):
            return MemoryPlan(size=candidate, warning=_change(size, candidate))
    least = candidates[-1]
    need = device_need(least)
    text = _shortage(least, room, need)
    if _certainly_too_large(least, room, need):
        if force:
            return MemoryPlan(size=least, warning=f"tried by --force_memory: {text}")
        spilling = dataclasses.replace(room, unified=True)
        raise MemoryShortageError(text, spilling_helps=_fits(least, spilling, need))
    return MemoryPlan(size=size, warning=text)


def program_room(size: JobSize, room: Room) -> int:
    """Bytes that a plan leaves to the program itself: its device's, or the host's rest."""
    if room.device_bytes is not None:
        return room.device_bytes
    return max(0, room.host_bytes - host_bytes(size))


def _smaller(size: JobSize, *, can_split_samples: bool) -> Iterator[JobSize]:
    """The job as asked for, then ever smaller ways to run it."""
    yield size
    single = dataclasses.replace(size, seeds_in_flight=1)
    if single != size:
        yield single
    if can_split_samples:
        samples = size.samples
        while samples > 1:
            samples = (samples + 1) // 2
            yield dataclasses.replace(single, samples=samples)


def _needs(size: JobSize, room: Room, need: DeviceNeed) -> tuple[int, int]:
    """Host and device memory; what the device cannot hold moves to the host if it may."""
    host = host_bytes(size)
    if room.device_bytes is None:
        return host + need.bytes, 0
    spilt = max(0, need.bytes - room.device_bytes) if room.unified else 0
    return host + spilt, need.bytes - spilt


def _fits(size: JobSize, room: Room, need: DeviceNeed) -> bool:
    host, device = _needs(size, room, need)
    return host <= room.host_bytes and (room.device_bytes is None or device <= room.device_bytes)


def _certainly_too_large(size: JobSize, room: Room, need: DeviceNeed) -> bool:
    if need.certain:
        return True
    # The job's own arrays have to be on the host whatever the program needs.
    return host_bytes(size) > room.host_bytes


def _change(asked: JobSize, planned: JobSize) -> str:
    parts = []
    if planned.seeds_in_flight != asked.seeds_in_flight:
        parts.append("one seed at a time")
    if planned.samples != asked.samples:
        parts.append(f"{planned.samples} of {asked.samples} samples at a time")
    return f"to save memory: {', '.join(parts)}" if parts else ""


def _shortage(size: JobSize, room: Room, need: DeviceNeed) -> str:
    host, device = _needs(size, room, need)
    limit = room.host_limit
    of_limit = f" of {_gib(limit.limit_bytes)} ({limit.source})" if limit.limit_bytes else ""
    needs = f"{_gib(host)} of host memory ({_gib(room.host_bytes)} available{of_limit})"
    if room.device_bytes is not None:
        needs += f" and {_gib(device)} of GPU memory ({_gib(room.device_bytes)} there)"
    basis = "" if need.certain else " by estimate"
    return (
        f"{size.tokens} tokens with {size.samples} sample(s) need{basis} {needs}; "
        "use a machine or a Slurm --mem with more memory, fewer --num_diffusion_samples, "
        "--unified_memory on a GPU, or --force_memory to try all the same"
    )


def _gib(size: int) -> str:
    return f"{size / GIB:.1f} GiB"
