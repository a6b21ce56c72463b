"""Watches memory through a run and gives back what is no longer needed."""

import contextlib
import ctypes
import dataclasses
import functools
import logging
import threading
import time
from collections.abc import Iterator, Mapping
from types import MappingProxyType

from af3opt.host.host import Memory
from af3opt.memory.usage import (
    Device,
    MemoryUsage,
    available_bytes,
    children_bytes,
    device_memory,
    resident_bytes,
)

_log = logging.getLogger(__name__)

# Reading the own size takes microseconds; listing children reads all of /proc.
_SAMPLE_SECONDS = 0.2
_CHILDREN_SECONDS = 5.0


@dataclasses.dataclass(frozen=True, slots=True)
class StagePeak:
    """The most memory seen in a stage.

    Attributes:
        host_bytes: Resident memory of the process tree.
        device_bytes: Memory in use on the device, None on a CPU. From the
            allocator's own peak where that rose during the stage.
    """

    host_bytes: int
    device_bytes: int | None

    def merged(self, other: "StagePeak") -> "StagePeak":
        """The larger of both, part by part."""
        device = [size for size in (self.device_bytes, other.device_bytes) if size is not None]
        return StagePeak(max(self.host_bytes, other.host_bytes), max(device, default=None))


@dataclasses.dataclass(frozen=True, slots=True)
class Freed:
    """What a clean-up gave back; negative when other threads allocated meanwhile.

    Attributes:
        host_bytes: Fall of this process's resident memory.
        device_bytes: Fall of the device's use, None on a CPU.
    """

    host_bytes: int
    device_bytes: int | None


class MemoryManager:
    """Measures memory by stage, against the limits of machine, cgroup and Slurm job."""

    def __init__(
        self, limit: Memory, *, device: Device | None = None, gpu_uuid: str | None = None
    ) -> None:
        """Sets what is watched.

        Args:
            limit: The host's memory limit, see `af3opt.host.host.probe_memory`.
            device: The JAX device the model runs on, or None.
            gpu_uuid: Its UUID, for NVML.
        """
        self._limit = limit
        self._device = device
        self._gpu_uuid = gpu_uuid
        self._peaks: dict[str, StagePeak] = {}
        self._lock = threading.Lock()

    def watch_device(self, device: Device | None, gpu_uuid: str | None = None) -> None:
        """Watches a device from now on, for a manager made before JAX was imported.

        Args:
            device: The JAX device the model runs on.
            gpu_uuid: Its UUID, for NVML.
        """
        self._device = device
        self._gpu_uuid = gpu_uuid

    @property
    def limit(self) -> Memory:
        """The host's memory limit and what sets it."""
        return self._limit

    @property
    def peaks(self) -> Mapping[str, StagePeak]:
        """The peak of every stage seen so far."""
        with self._lock:
            return MappingProxyType(dict(self._peaks))

    def get_memory_usage(self) -> MemoryUsage:
        """Measures the process tree and the device now."""
        own, children = resident_bytes(), children_bytes()
        return MemoryUsage(
            resident_bytes=own,
            children_bytes=children,
            limit_bytes=self._limit.limit_bytes,
            available_bytes=available_bytes(self._limit.limit_bytes, own + children),
            device=device_memory(self._device, self._gpu_uuid),
        )

    def update(self, stage: str) -> MemoryUsage:
        """Measures now and raises the stage's peak if this is more."""
        usage = self.get_memory_usage()
        device = usage.device.used_bytes if usage.device else None
        self._raise_peak(stage, StagePeak(usage.total_bytes, device))
        return usage

    def take_peak(self, stage: str) -> StagePeak:
        """Returns a stage's peak and forgets it.

        Raises:
            KeyError: the stage was never measured.
        """
        with self._lock:
            return self._peaks.pop(stage)

    @contextlib.contextmanager
    def monitor(self, stage: str) -> Iterator[None]:
        """Samples memory in a thread while the block runs; stages may overlap.

        Args:
            stage: Name under which `peaks` keeps the result.
        """
        allocator_before = self._allocator_peak()
        stop = threading.Event()
        sampler = threading.Thread(
            target=self._sample, args=(stage, stop), name=f"memory-{stage}", daemon=True
        )
        sampler.start()
        try:
            yield
        finally:
            stop.set()
            sampler.join()
            self.update(stage)
            allocator_after = self._allocator_peak()
            if allocator_after is not None and allocator_after != allocator_before:
                self._raise_peak(stage, StagePeak(0, allocator_after))

    def cleanup(self, finished: object = None, *, compiled: bool = False) -> Freed:
        """Frees memory between jobs.

        Args:
            finished: Nested JAX arrays that nobody will read again; their buffers
                are released now instead of when Python forgets them.
            compiled: Also forget all compiled programs. Frees their constants and
                scratch, and costs the next job a compilation (or a cache read).

        Returns:
            What was given back, as measured.
        """
        before, device_before = resident_bytes(), device_memory(self._device, self._gpu_uuid)
        if finished is not None:
            _delete_arrays(finished)
        if compiled:
            import jax

            jax.clear_caches()
        _trim_heap()
        device_after = device_memory(self._device, self._gpu_uuid)
        freed = Freed(
            host_bytes=before - resident_bytes(),
            device_bytes=device_before.used_bytes - device_after.used_bytes
            if device_before and device_after
            else None,
        )
        _log.debug("Clean-up gave back %.0f MiB of host memory", freed.host_bytes / 2**20)
        return freed

    def _sample(self, stage: str, stop: threading.Event) -> None:
        children, children_at = 0, -_CHILDREN_SECONDS
        while not stop.wait(_SAMPLE_SECONDS):
            now = time.monotonic()
            try:
                if now - children_at >= _CHILDREN_SECONDS:
                    children, children_at = children_bytes(), now
                device = device_memory(self._device, self._gpu_uuid)
                used = device.used_bytes if device else None
                self._raise_peak(stage, StagePeak(resident_bytes() + children, used))
            except Exception as error:
                # A sample that is missed is no peak that is missed: the next one follows.
                _log.debug("Memory of %s could not be sampled", stage, exc_info=error)

    def _allocator_peak(self) -> int | None:
        """The allocator's peak since the process began."""
        device = device_memory(self._device, self._gpu_uuid)
        return device.peak_bytes if device else None

    def _raise_peak(self, stage: str, seen: StagePeak) -> None:
        with self._lock:
            known = self._peaks.get(stage)
            self._peaks[stage] = known.merged(seen) if known else seen


def _delete_arrays(tree: object) -> None:
    import jax

    for leaf in jax.tree.leaves(tree):
        if isinstance(leaf, jax.Array) and not leaf.is_deleted():
            leaf.delete()


@functools.cache
def _glibc() -> ctypes.CDLL | None:
    """The C library, when it is one with `malloc_trim` (glibc has it, musl does not)."""
    library = ctypes.CDLL(None)
    return library if hasattr(library, "malloc_trim") else None


def _trim_heap() -> None:
    """Returns free heap pages to the system; freed blocks otherwise stay with the process."""
    library = _glibc()
    if library is not None:
        library.malloc_trim(0)
