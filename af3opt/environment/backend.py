"""Picks the backend and the attention kernels before JAX is imported."""

import dataclasses

from af3opt.base.errors import SetupError, UsageError
from af3opt.base.installing import pip_install
from af3opt.host.gpus import Gpu
from af3opt.host.host import Host
from af3opt.settings.settings import Settings

# Compute capabilities (docs/performance.md of AlphaFold 3).
_OLDEST_CAPABILITY = 6.0
_FIRST_AMPERE = 8.0

_PLUGIN_PREFIXES = {"gpu": ("xla_cuda", "cuda"), "mps": ("mps", "metal")}
_GPU_PLATFORMS = {"gpu", "cuda"}


@dataclasses.dataclass(frozen=True, slots=True)
class Backend:
    """Where and how the model runs.

    Attributes:
        name: "cpu", "gpu" or "mps".
        gpu: The GPU of `--gpu_device`, for the backend "gpu".
        flash_attention: "triton", "cudnn" or "xla".
        message: One line for the log: what was chosen and why.
    """

    name: str
    gpu: Gpu | None
    flash_attention: str
    message: str


def resolve_backend(settings: Settings, host: Host) -> Backend:
    """Chooses the backend: the one asked for, else a usable GPU, else the CPU.

    Args:
        settings: Read for jax_backend, gpu_device, flash_attention_implementation
            and run_inference.
        host: The machine.

    Raises:
        SetupError: the backend asked for cannot be used here; there is no fallback.
        UsageError: `--gpu_device` or the attention kernels do not fit the device.
    """
    if not settings.run_inference:
        return Backend("cpu", None, "xla", "backend: none needed (--run_inference=false)")
    if settings.jax_backend == "mps":
        _require_plugin(host, "mps")
        return _without_gpu(settings, host, "mps", "--jax_backend=mps")
    if settings.jax_backend == "cpu":
        return _without_gpu(settings, host, "cpu", f"--jax_backend=cpu ({_source(settings)})")
    obstacle = _gpu_obstacle(host)
    if settings.jax_backend == "gpu":
        if obstacle:
            raise SetupError(
                f"--jax_backend=gpu ({_source(settings)}): {obstacle}; ask the scheduler for a "
                "GPU (--gres=gpu:1), or use --jax_backend=cpu"
            )
        return _on_gpu(settings, host, f"--jax_backend=gpu ({_source(settings)})")
    if obstacle:
        return _without_gpu(settings, host, "cpu", f"no usable GPU: {obstacle}")
    return _on_gpu(settings, host, "a GPU is usable and --jax_backend is not set")


def _source(settings: Settings) -> str:
    return settings.sources.get("jax_backend", "default")


def _gpu_obstacle(host: Host) -> str | None:
    """Says why no GPU can be used, or None."""
    if host.gpu_problem or not host.gpus:
        return host.gpu_problem or "there is none"
    if host.jax_platforms and not _GPU_PLATFORMS.intersection(host.jax_platforms.split(",")):
        return f"the exported JAX_PLATFORMS={host.jax_platforms} excludes it"
    return _plugin_obstacle(host, "gpu")


def _plugin_obstacle(host: Host, backend: str) -> str | None:
    if any(plugin.lower().startswith(_PLUGIN_PREFIXES[backend]) for plugin in host.jax_plugins):
        return None
    install = f"; {pip_install('cuda12')}" if backend == "gpu" else ""
    return f"the installed JAX has no {backend} plugin{install}"


def _require_plugin(host: Host, backend: str) -> None:
    obstacle = _plugin_obstacle(host, backend)
    if obstacle:
        raise SetupError(f"--jax_backend={backend}: {obstacle}")


def _without_gpu(settings: Settings, host: Host, name: str, why: str) -> Backend:
    asked = settings.flash_attention_implementation
    if asked not in (None, "xla"):
        raise UsageError(
            f"--flash_attention_implementation={asked} needs a GPU, and the backend is {name} "
            f"({why}); use xla or leave it unset"
        )
    if host.jax_platforms and name not in host.jax_platforms.split(","):
        raise SetupError(
            f"the backend is {name} ({why}), but the exported JAX_PLATFORMS={host.jax_platforms} "
            "excludes it; unset JAX_PLATFORMS"
        )
    return Backend(name, None, "xla", f"backend: {name}, {why}; attention: xla")


def _on_gpu(settings: Settings, host: Host, why: str) -> Backend:
    if settings.gpu_device >= len(host.gpus):
        raise UsageError(
            f"--gpu_device={settings.gpu_device}: only {len(host.gpus)} GPU(s) visible, "
            f"numbered from 0"
        )
    gpu = host.gpus[settings.gpu_device]
    capability = gpu.compute_capability
    if capability < _OLDEST_CAPABILITY:
        raise SetupError(
            f"{gpu.name} has compute capability {capability}, AlphaFold 3 needs at least "
            f"{_OLDEST_CAPABILITY}; choose another with --gpu_device or use --jax_backend=cpu"
        )
    attention = _gpu_attention(settings.flash_attention_implementation, gpu)
    return Backend(
        "gpu",
        gpu,
        attention,
        f"backend: gpu {settings.gpu_device} ({gpu.name}, {gpu.memory_mib} MiB, compute "
        f"capability {capability}), {why}; attention: {attention}",
    )


def _gpu_attention(asked: str | None, gpu: Gpu) -> str:
    capability = gpu.compute_capability
    if asked is not None:
        if asked != "xla" and capability < _FIRST_AMPERE:
            raise UsageError(
                f"--flash_attention_implementation={asked} needs compute capability "
                f"{_FIRST_AMPERE} or later, {gpu.name} has {capability}; use xla or leave it unset"
            )
        return asked
    return "triton" if _runs_triton_attention(capability) else "xla"


def _runs_triton_attention(capability: float) -> bool:
    """True if the device's shared memory holds the Triton attention kernels' blocks.

    Capabilities 8.6 to 8.9 and 12.x have about 100 KiB per block against 163 and
    more on 8.0 and 9.0 to 11.x (CUDA C++ Programming Guide, table "Technical
    Specifications per Compute Capability"); there the kernels fail at launch,
    when nothing can step in for them.
    """
    return capability == _FIRST_AMPERE or 9.0 <= capability < 12.0
