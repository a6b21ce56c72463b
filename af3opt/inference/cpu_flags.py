"""XLA flags for a CPU: those that `af3opt tune` chose here, or else the shipped ones.

XLA ends the process when it does not know a flag, so the shipped ones are given to
jaxlib versions that were tried only.
"""

import dataclasses

from af3opt.fidelity import EXACT, PERMITTED, REORDERED
from af3opt.host import Cpu, Host
from af3opt.inference.tuning import load_tuning
from af3opt.settings import Settings
from af3opt.version import installed_version

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
    """

    flag: str
    fidelity: str
    reason: str
    vendors: frozenset[str] = frozenset()
    isa: frozenset[str] = frozenset()

    def suits(self, cpu: Cpu) -> bool:
        """Whether the processor is one of those it is meant for."""
        return self.isa <= cpu.isa and (not self.vendors or cpu.vendor in self.vendors)


# The order in which operations are issued. By default XLA issues those early that may
# run at once, which keeps more temporaries alive than a cache holds. Results are the
# same to the last bit. See docs/performance.md for figures.
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
    vendors=frozenset({"AuthenticAMD"}),
    isa=frozenset({"avx512f"}),
)
_SHIPPED = (LEAN_SCHEDULE, WIDE_VECTORS)


def cpu_xla_flags(settings: Settings, host: Host) -> tuple[tuple[str, str], ...]:
    """(flag, reason) pairs for the environment of a CPU run.

    Args:
        settings: Read for tuned and fidelity, which bounds the class of the flags.
        host: The machine.
    """
    chosen = load_tuning(settings, host)
    if chosen is not None:
        return tuple((flag, "fastest in `af3opt tune`") for flag in chosen.xla_flags)
    if installed_version("jaxlib") not in _TRIED_JAXLIBS:
        return ()
    permitted = PERMITTED[settings.fidelity]
    return tuple(
        (one.flag, one.reason)
        for one in _SHIPPED
        if one.fidelity in permitted and one.suits(host.cpu)
    )
