"""XLA flags for a CPU: those that `af3opt tune` chose here, or else the shipped ones.

XLA ends the process when it does not know a flag, so the shipped ones are given to
jaxlib versions that were tried only.
"""

from af3opt.base.fidelity import PERMITTED
from af3opt.base.version import installed_version
from af3opt.environment.known_flags import LEAN_SCHEDULE, LIGHT_CODEGEN, WIDE_VECTORS
from af3opt.environment.tuning import load_tuning
from af3opt.host.host import Host
from af3opt.settings.settings import Settings

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
