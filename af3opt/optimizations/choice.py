"""Chooses what optimisations depend on for this host, such as what `auto` stands for."""

from af3opt.environment.backend import Backend
from af3opt.environment.tuning import load_tuning
from af3opt.host.host import AMD, Cpu, Host
from af3opt.optimizations.base import BFLOAT16, FLOAT32, MIXED, SMALL_BLOCK, SPLIT, Context
from af3opt.settings.settings import Settings

_AUTO = "auto"
# Instructions with which XLA:CPU multiplies bfloat16 matrices faster than float32 ones.
_BFLOAT16_PRODUCTS = frozenset({"avx512_bf16", "amx_bf16"})
_BFLOAT16_MATRICES = frozenset({"amx_bf16"})

# AMD's processors have a third-level cache that is nearly as fast as the second and far
# larger: there it costs less to leave the second than to have threads meet often.
_LARGE_BLOCK = 2048
_FAST_THIRD_LEVEL = frozenset({AMD})


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
        attention=backend.flash_attention,
        threads=settings.num_threads or host.cpu.usable_cores,
        block_positions=block_positions(host.cpu),
        trunk_precision=trunk,
        diffusion_precision=diffusion,
    )


def block_positions(cpu: Cpu) -> int:
    """Pair positions that a thread should work on at a time."""
    return _LARGE_BLOCK if cpu.vendor in _FAST_THIRD_LEVEL else SMALL_BLOCK
