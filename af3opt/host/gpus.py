"""The NVIDIA GPUs this process may use (no CUDA context is made)."""

import dataclasses
from collections.abc import Mapping, Sequence

from af3opt.host import nvidia_smi, nvml
from af3opt.host.gpu import Gpu

__all__ = ["Gpu", "GpuProbe", "driver_cuda", "probe_gpus"]


@dataclasses.dataclass(frozen=True, slots=True)
class GpuProbe:
    """What the probe found.

    Attributes:
        gpus: Usable GPUs in the order CUDA_VISIBLE_DEVICES gives them.
        problem: Why there is none, or None.
    """

    gpus: tuple[Gpu, ...]
    problem: str | None = None


def probe_gpus(environ: Mapping[str, str]) -> GpuProbe:
    """Lists the usable GPUs; what fails is a problem to report, not an error.

    The driver is asked through NVML where the package nvidia-ml-py is installed and the
    driver's library can be loaded, through `nvidia-smi` elsewhere.

    Args:
        environ: Read for PATH and CUDA_VISIBLE_DEVICES. An entry that names no GPU
            hides itself and all that follow it, as in the CUDA driver.
    """
    visible = environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None and not visible.strip():
        return GpuProbe((), "CUDA_VISIBLE_DEVICES is set and empty, which hides every GPU")
    slices = visible is not None and "MIG-" in visible
    try:
        known = nvml.list_gpus(slices=slices)
        if known is None:
            known = nvidia_smi.list_gpus(environ, slices=slices)
    except (nvml.NvmlError, nvidia_smi.NvidiaSmiError) as error:
        return GpuProbe((), str(error))
    if visible is None:
        return GpuProbe(known)
    chosen = _select(visible.split(","), known)
    if not chosen:
        return GpuProbe((), f"CUDA_VISIBLE_DEVICES={visible} names no GPU of this machine")
    return GpuProbe(chosen)


def driver_cuda(environ: Mapping[str, str]) -> tuple[int, int] | None:
    """The newest CUDA that the driver supports, None when nobody can tell."""
    return nvml.driver_cuda() or nvidia_smi.driver_cuda(environ)


def _select(entries: Sequence[str], known: Sequence[Gpu]) -> tuple[Gpu, ...]:
    chosen: list[Gpu] = []
    for entry in map(str.strip, entries):
        match = next((gpu for gpu in known if _names(entry, gpu)), None)
        if match is None:
            break
        chosen.append(match)
    return tuple(chosen)


def _names(entry: str, gpu: Gpu) -> bool:
    """True if the entry is the GPU's index or the start of its UUID."""
    if entry.isdigit():
        return int(entry) == gpu.index and gpu.uuid.startswith("GPU-")
    return entry.startswith(("GPU-", "MIG-")) and gpu.uuid.startswith(entry)
