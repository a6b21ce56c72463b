"""Which device the model runs on, and which attention kernels it can use."""

import logging
from typing import Any

from af3opt.errors import SetupError, UsageError

_log = logging.getLogger(__name__)

# Fused Triton attention needs this compute capability and the shared memory of a
# data-centre card: 8.6 and 8.9 have too little and fail when the kernel starts.
_FIRST_FUSED_CAPABILITY = (8, 0)
_FIRST_LARGE_SHARED_MEMORY = (9, 0)


def choose_device(backend: str, index: int = 0) -> Any:
    """Returns the JAX device to run on, with 64-bit types switched off.

    Args:
        backend: "cpu", "gpu" or "mps".
        index: Position among the local devices of that backend.

    Returns:
        A `jax.Device`.

    Raises:
        SetupError: JAX has no such backend here, or it has fewer devices.
    """
    import jax

    if jax.config.jax_enable_x64:
        # The engine is written for 32-bit types; the environment may say otherwise.
        _log.warning("JAX_ENABLE_X64 is set; the model needs 32-bit types, so it is switched off")
        jax.config.update("jax_enable_x64", False)
    try:
        devices = jax.local_devices(backend=backend)
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[0]
        raise SetupError(
            f"--jax_backend={backend}: JAX cannot use it here ({reason}); install the jaxlib "
            "plugin for it, or use --jax_backend=cpu"
        ) from error
    if index >= len(devices):
        raise SetupError(
            f"--gpu_device={index}: there are only {len(devices)} {backend} devices; "
            f"use 0 to {len(devices) - 1}"
        )
    return devices[index]


def compute_capability(device: Any) -> tuple[int, int] | None:
    """Returns a CUDA device's compute capability such as (8, 0), or None for others."""
    text = str(getattr(device, "compute_capability", "") or "")
    major, _, minor = text.partition(".")
    if not major.isdigit():
        return None
    return int(major), int(minor) if minor.isdigit() else 0


def attention_implementation(requested: str | None, device: Any) -> str:
    """Chooses the attention kernels for a device, or checks the user's choice.

    Args:
        requested: "triton", "cudnn", "xla", or None to choose.
        device: The JAX device.

    Returns:
        "triton", "cudnn" or "xla".

    Raises:
        UsageError: the device cannot run the requested kernels.
    """
    capability = compute_capability(device)
    fused = capability is not None and capability >= _FIRST_FUSED_CAPABILITY
    if requested in ("triton", "cudnn") and not fused:
        where = (
            f"a GPU of compute capability {capability[0]}.{capability[1]}"
            if capability
            else f"the {device.platform} backend"
        )
        raise UsageError(
            f"--flash_attention_implementation={requested} does not run on {where}; use xla"
        )
    if requested is not None:
        return requested
    if capability is None or not fused:
        return "xla"
    if capability == _FIRST_FUSED_CAPABILITY or capability >= _FIRST_LARGE_SHARED_MEMORY:
        return "triton"
    return "cudnn"
