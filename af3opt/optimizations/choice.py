"""Chooses the precisions that `auto` stands for on this host."""

from af3opt.backend import Backend
from af3opt.host import Host
from af3opt.inference.tuning import load_tuning
from af3opt.optimizations.base import BFLOAT16, FLOAT32, MIXED, SPLIT, Context
from af3opt.settings import Settings

_AUTO = "auto"
# Instructions with which XLA:CPU multiplies bfloat16 matrices faster than float32 ones.
_BFLOAT16_PRODUCTS = frozenset({"avx512_bf16", "amx_bf16"})
_BFLOAT16_MATRICES = frozenset({"amx_bf16"})


def choose_context(settings: Settings, host: Host, backend: Backend) -> Context:
    """Decides what the optimisations of a run depend on.

    Args:
        settings: Read for fidelity, the precisions and num_threads.
        host: Gives the instruction set and the usable cores.
        backend: Where the model runs.
    """
    on_cpu = backend.name == "cpu" and settings.fidelity != "exact"
    trunk, diffusion = settings.trunk_precision, settings.diffusion_precision
    tuned = load_tuning(settings, host) if on_cpu else None
    if tuned is not None:
        trunk = tuned.trunk_precision if trunk == _AUTO else trunk
        diffusion = tuned.diffusion_precision if diffusion == _AUTO else diffusion
    if trunk == _AUTO:
        fast = bool(_BFLOAT16_PRODUCTS & host.cpu.isa)
        trunk = (MIXED if fast else FLOAT32) if on_cpu else BFLOAT16
    if diffusion == _AUTO:
        diffusion = SPLIT if on_cpu and _BFLOAT16_MATRICES & host.cpu.isa else FLOAT32
    return Context(
        backend=backend.name,
        threads=settings.num_threads or host.cpu.usable_cores,
        trunk_precision=trunk,
        diffusion_precision=diffusion,
    )
