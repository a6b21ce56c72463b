"""The XLA flags for a CPU that af3opt knows: shipped ones, and those that it tries.

XLA ends the process when it does not know a flag, and other flags make it write files or
load code. So none but these is ever taken from a file.
"""

import dataclasses

from af3opt.base.fidelity import EXACT, REORDERED
from af3opt.host.host import AMD, Cpu

_TRIED_JAXLIBS = frozenset({"0.10.2", "0.12.0.1"})


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class CpuFlag:
    """A flag that made the model faster where it was measured.

    Attributes:
        flag: As in XLA_FLAGS.
        fidelity: EXACT or REORDERED.
        reason: What it does, for people.
        vendors: Makers of the processors it was measured on; empty for any.
        isa: Instructions that it makes use of.
        jaxlibs: Versions it was measured on, all of which know it.
    """

    flag: str
    fidelity: str
    reason: str
    vendors: frozenset[str] = frozenset()
    isa: frozenset[str] = frozenset()
    jaxlibs: frozenset[str] = _TRIED_JAXLIBS

    def suits(self, cpu: Cpu, jaxlib: str | None) -> bool:
        """Whether processor and jaxlib are among those it is meant for."""
        known = jaxlib in self.jaxlibs and self.isa <= cpu.isa
        return known and (not self.vendors or cpu.vendor in self.vendors)


# The order in which operations are issued. By default XLA issues those early that may
# run at once, which keeps more temporaries alive than a cache holds. Results are the
# same to the last bit. See docs/performance-notes.md for figures.
LEAN_SCHEDULE = CpuFlag(
    flag="--xla_cpu_enable_concurrency_optimized_scheduler=false",
    fidelity=EXACT,
    reason="exact: operations in the order that keeps least memory in use",
)
# LLVM prefers half-width vectors since the first processors with AVX-512 slowed down
# for full ones. The sums of a reduction are split differently.
WIDE_VECTORS = CpuFlag(
    flag="--xla_cpu_prefer_vector_width=512",
    fidelity=REORDERED,
    reason="reordered: elementwise work in vectors of the full width",
    vendors=frozenset({AMD}),
    isa=frozenset({"avx512f"}),
)
# How hard LLVM works on what XLA generates. Products and norms are library code with
# jaxlib 0.12, and the rest runs no faster for the work; with 0.10 it runs at half the speed.
LIGHT_CODEGEN = CpuFlag(
    flag="--xla_backend_optimization_level=1",
    fidelity=REORDERED,
    reason="reordered: less time spent on compiling",
    vendors=frozenset({AMD}),
    jaxlibs=frozenset({"0.12.0.1"}),
)
# jaxlib's YNN library fuses a product with what follows; on some versions the fused
# code is slower than the parts.
NO_FUSION = "--xla_cpu_experimental_ynn_fusion_type="
KNOWN_FLAGS = frozenset({LEAN_SCHEDULE.flag, WIDE_VECTORS.flag, LIGHT_CODEGEN.flag, NO_FUSION})
