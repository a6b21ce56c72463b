"""The NVIDIA driver, asked in this process through NVML (package nvidia-ml-py).

No CUDA context is made. Where the package is not installed or the driver's library cannot
be loaded, every function here returns None.
"""

import contextlib
import types
from collections.abc import Iterator
from typing import Any

from af3opt.host.gpu import Gpu


class NvmlError(Exception):
    """The driver is there and does not answer; the text says what it said."""


@contextlib.contextmanager
def _driver() -> Iterator[types.ModuleType | None]:
    """Yields the module with NVML started, None when it cannot be.

    Raises:
        NvmlError: a call fails.
    """
    try:
        import pynvml
    except ImportError:
        yield None
        return
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        yield None
        return
    try:
        yield pynvml
    except pynvml.NVMLError as error:
        raise NvmlError(f"the NVIDIA driver says: {error}") from error
    finally:
        pynvml.nvmlShutdown()


def list_gpus(*, slices: bool) -> tuple[Gpu, ...] | None:
    """Lists the GPUs of this machine.

    Args:
        slices: Also list MIG slices, after the GPUs.

    Raises:
        NvmlError: the driver fails, or there is no GPU.
    """
    with _driver() as nvml:
        if nvml is None:
            return None
        driver = _text(nvml.nvmlSystemGetDriverVersion())
        handles = [
            nvml.nvmlDeviceGetHandleByIndex(index) for index in range(nvml.nvmlDeviceGetCount())
        ]
        gpus = [_gpu(nvml, handle, index, driver) for index, handle in enumerate(handles)]
        if not gpus:
            raise NvmlError("the NVIDIA driver lists no GPU")
        parts = zip(handles, gpus, strict=True) if slices else ()
        return (*gpus, *(part for handle, gpu in parts for part in _slices(nvml, handle, gpu)))


def memory_use(uuid: str) -> tuple[int, int] | None:
    """Bytes in use on a GPU by all processes, and bytes there are.

    Args:
        uuid: "GPU-..." or "MIG-...".
    """
    try:
        with _driver() as nvml:
            if nvml is None:
                return None
            memory = nvml.nvmlDeviceGetMemoryInfo(nvml.nvmlDeviceGetHandleByUUID(uuid))
            return int(memory.used), int(memory.total)
    except NvmlError:
        return None


def driver_cuda() -> tuple[int, int] | None:
    """The newest CUDA that the driver supports."""
    try:
        with _driver() as nvml:
            if nvml is None:
                return None
            version = int(nvml.nvmlSystemGetCudaDriverVersion_v2())
            return version // 1000, version % 1000 // 10
    except NvmlError:
        return None


def _gpu(nvml: Any, handle: Any, index: int, driver: str) -> Gpu:
    major, minor = nvml.nvmlDeviceGetCudaComputeCapability(handle)
    return Gpu(
        index=index,
        uuid=_text(nvml.nvmlDeviceGetUUID(handle)),
        name=_text(nvml.nvmlDeviceGetName(handle)),
        compute_capability=float(f"{major}.{minor}"),
        memory_mib=_memory_mib(nvml, handle),
        driver_version=driver,
    )


def _slices(nvml: Any, handle: Any, parent: Gpu) -> Iterator[Gpu]:
    """Yields the MIG slices of a GPU; they have its capability and memory of their own."""
    try:
        count = nvml.nvmlDeviceGetMaxMigDeviceCount(handle)
    except nvml.NVMLError:
        return
    for index in range(count):
        try:
            part = nvml.nvmlDeviceGetMigDeviceHandleByIndex(handle, index)
        except nvml.NVMLError:
            continue  # No slice there.
        yield Gpu(
            index=parent.index,
            uuid=_text(nvml.nvmlDeviceGetUUID(part)),
            name=_text(nvml.nvmlDeviceGetName(part)),
            compute_capability=parent.compute_capability,
            memory_mib=_memory_mib(nvml, part) or parent.memory_mib,
            driver_version=parent.driver_version,
        )


def _memory_mib(nvml: Any, handle: Any) -> int:
    """Memory in MiB; chips that share the host's memory do not tell, taken as 0."""
    try:
        return int(nvml.nvmlDeviceGetMemoryInfo(handle).total) >> 20
    except nvml.NVMLError:
        return 0


def _text(value: str | bytes) -> str:
    """Older releases of the package give bytes."""
    return value.decode() if isinstance(value, bytes) else value
