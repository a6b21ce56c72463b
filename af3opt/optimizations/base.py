"""What an optimisation is: a patch of the engine with a class, and what it may depend on.

An optimisation whose functions are not as known, since they may compute something else by
now, steps aside, and the run goes on with the engine's own code; see `engine.patching`.
"""

import dataclasses
from collections.abc import Callable

from af3opt.engine.patching import Patch

FLOAT32 = "float32"
BFLOAT16 = "bfloat16"
MIXED = "mixed"
SPLIT = "split"
# 512 positions of 512 float32 channels, of which a few tensors are needed at a time, stay
# in the second-level cache of a server core.
SMALL_BLOCK = 512


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What optimisations may depend on.

    Attributes:
        backend: "cpu", "gpu" or "mps".
        attention: What computes attention: "triton", "cudnn" or "xla".
        threads: CPU threads the model may use.
        block_positions: Pair positions that a thread works on at a time, where the pair
            stack goes through blocks of rows.
        trunk_precision: "bfloat16" leaves the trunk as the engine has it; "mixed"
            computes in float32 except for the operands of matrix products, which
            are rounded to bfloat16; "float32".
        diffusion_precision: Operands of the diffusion transformer's large products:
            "float32", "split" (each the sum of two bfloat16 values) or "bfloat16".
    """

    backend: str
    attention: str = "xla"
    threads: int = 1
    block_positions: int = SMALL_BLOCK
    trunk_precision: str = BFLOAT16
    diffusion_precision: str = FLOAT32

    @property
    def trunk_operands(self) -> str:
        """Type of the operands of matrix products in the trunk."""
        return FLOAT32 if self.trunk_precision == FLOAT32 else BFLOAT16


@dataclasses.dataclass(frozen=True, kw_only=True)
class Optimization(Patch[Context]):
    """One optimisation; its name is what `--disable_optimizations` calls it.

    Attributes:
        fidelity: EXACT, REORDERED, PRECISION or RESAMPLED.
        summary: What it does, one sentence.
        backends: Backends it is meant for.
        wanted: Tells from the context whether there is anything to do.
    """

    fidelity: str
    summary: str
    backends: frozenset[str] = frozenset({"cpu"})
    wanted: Callable[[Context], bool] = lambda _context: True

    def applies(self, context: Context) -> bool:
        """Whether it is meant for a backend and has anything to do there."""
        return context.backend in self.backends and self.wanted(context)
