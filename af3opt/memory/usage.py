"""How much memory is used and how much is allowed, on the host and on the device."""

import contextlib
import dataclasses
from collections.abc import Mapping
from typing import Protocol

import psutil


class Device(Protocol):
    """What is asked of a JAX device."""

    @property
    def platform(self) -> str:
        """Such as "cpu"."""

    def memory_stats(self) -> Mapping[str, int] | None:
        """What its allocator counts, if it does."""


@dataclasses.dataclass(frozen=True, slots=True)
class DeviceMemory:
    """Memory of the device the model runs on.

    Attributes:
        used_bytes: In use now.
        peak_bytes: Most that was in use at once, or None if it is not counted.
        limit_bytes: What there is.
        source: Who counted: "jax" (this process's allocator) or "nvml" (the whole
            device, other processes included).
    """

    used_bytes: int
    peak_bytes: int | None
    limit_bytes: int
    source: str


@dataclasses.dataclass(frozen=True, slots=True)
class MemoryUsage:
    """A measurement.

    Attributes:
        resident_bytes: Resident memory of this process.
        children_bytes: Resident memory of its children, such as the MSA tools;
            pages they share are counted for each.
        limit_bytes: What the process tree may use, or None if unknown.
        available_bytes: What is left of it, and of the machine.
        device: The device's memory, None on a CPU.
    """

    resident_bytes: int
    children_bytes: int
    limit_bytes: int | None
    available_bytes: int
    device: DeviceMemory | None

    @property
    def total_bytes(self) -> int:
        """Resident memory of the process tree."""
        return self.resident_bytes + self.children_bytes


def resident_bytes() -> int:
    """Resident memory of this process."""
    return int(psutil.Process().memory_info().rss)


def children_bytes() -> int:
    """Resident memory of all processes below this one."""
    total = 0
    for child in psutil.Process().children(recursive=True):
        # A tool may end between being listed and being asked.
        with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            total += child.memory_info().rss
    return total


def available_bytes(limit: int | None, used: int) -> int:
    """What may still be allocated: the rest of the limit, at most what the machine has."""
    free = int(psutil.virtual_memory().available)
    return free if limit is None else max(0, min(limit - used, free))


def device_memory(device: Device | None, gpu_uuid: str | None = None) -> DeviceMemory | None:
    """Reads the memory of a JAX device.

    Args:
        device: The JAX device, or None.
        gpu_uuid: The GPU's name for NVML, asked when JAX does not count (its
            platform allocator does not).

    Returns:
        The measurement; None for a CPU, whose memory is the host's, and when
        nobody can tell.
    """
    if device is None or device.platform == "cpu":
        return None
    stats = device.memory_stats()
    if stats and "bytes_limit" in stats:
        return DeviceMemory(
            used_bytes=int(stats["bytes_in_use"]),
            peak_bytes=stats.get("peak_bytes_in_use"),
            limit_bytes=int(stats["bytes_limit"]),
            source="jax",
        )
    return _nvml_memory(gpu_uuid) if gpu_uuid else None


def _nvml_memory(gpu_uuid: str) -> DeviceMemory | None:
    """Asks the driver through the optional nvidia-ml-py package."""
    try:
        import pynvml
    except ImportError:
        return None
    try:
        pynvml.nvmlInit()
        try:
            handle = pynvml.nvmlDeviceGetHandleByUUID(gpu_uuid)
            memory = pynvml.nvmlDeviceGetMemoryInfo(handle)
        finally:
            pynvml.nvmlShutdown()
    except pynvml.NVMLError:
        return None
    return DeviceMemory(int(memory.used), None, int(memory.total), "nvml")
