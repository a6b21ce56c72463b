"""Which token counts inputs are padded to.

Padding costs compute on every run, a new size costs one compilation. On a GPU
compiling is dear and padded tokens are cheap, so the coarse list of the engine's own script
holds. On a CPU compiling takes seconds and a run takes minutes that grow with the padded
size and its square: there the steps are fine. Another padded size draws other random
numbers for the diffusion (class *resampled*), so `--fidelity` below `fast` keeps that list,
and buckets that the user gave are always obeyed.
"""

from af3opt.engine.own_script import engine_buckets
from af3opt.settings.settings import Settings

# (up to this many tokens, in steps of): from 48 tokens on padding adds less than a
# sixteenth, and 117 sizes cover what upstream's 15 do. A default run of 80 tokens takes
# 4 s longer than one of 76 on two cores, and compiling takes 8 s, once a size.
_CPU_STEPS = ((16, 16), (128, 4), (256, 8), (512, 16), (1024, 32), (2048, 64), (5120, 128))


def choose_buckets(settings: Settings, backend: str) -> tuple[int, ...]:
    """Returns the token counts to pad to, strictly increasing.

    Args:
        settings: Read for buckets and fidelity.
        backend: "cpu", "gpu" or "mps".
    """
    if settings.buckets is not None:
        return settings.buckets
    if backend != "cpu" or settings.fidelity != "fast":
        return engine_buckets()
    return _fine_buckets()


def _fine_buckets() -> tuple[int, ...]:
    sizes: list[int] = []
    for limit, step in _CPU_STEPS:
        start = sizes[-1] if sizes else 0
        sizes += range(start + step, limit + 1, step)
    return tuple(sizes)
