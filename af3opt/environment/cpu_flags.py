"""XLA flags for a CPU: those that `af3opt tune` chose here, or else the shipped ones.

XLA ends the process when it does not know a flag, so the shipped ones are given to
jaxlib versions that were tried only.
"""

import dataclasses

from af3opt.base.fidelity import EXACT, PERMITTED, REORDERED
from af3opt.base.version import installed_version
from af3opt.environment.tuning import load_tuning
from af3opt.host.host import AMD, Cpu, Host
from af3opt.settings.settings import Settings

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
_SHIPPED = (LEAN_SCHEDULE, WIDE_VECTORS, LIGHT_CODEGEN)


def cpu_xla_flags(settings: Settings, host: Host) -> tuple[tuple[str, str], ...]:
    """(flag, reason) pairs for the environment of a CPU run.

    Args:
        settings: Read for tuned and fidelity, which bounds the class of the flags.
        host: The machine.
    """
    chosen = load_tuning(settings, host)
    if chosen is not None:
        return tuple((flag, "fastest in `af3opt tune`") for flag in chosen.xla_flags)
    jaxlib = installed_version("jaxlib")
    permitted = PERMITTED[settings.fidelity]
    return tuple(
        (one.flag, one.reason)
        for one in _SHIPPED
        if one.fidelity in permitted and one.suits(host.cpu, jaxlib)
    )
