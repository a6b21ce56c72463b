"""The device the model runs on."""

import logging

from af3opt.base.errors import SetupError
from af3opt.engine.protocols import Device

_log = logging.getLogger(__name__)


def choose_device(backend: str, index: int = 0) -> Device:
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
