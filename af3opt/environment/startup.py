"""Preparing the process before JAX is imported; the same for every command that uses it."""

import dataclasses
import logging
import os

from af3opt.base.logs import configure_logging
from af3opt.base.paths import check_home
from af3opt.environment.backend import Backend, resolve_backend
from af3opt.environment.cpu_flags import cpu_xla_flags
from af3opt.environment.environment import (
    Variable,
    apply_environment,
    environment_notes,
    plan_environment,
)
from af3opt.host.host import Host, probe_host
from af3opt.settings.settings import Settings

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, slots=True)
class Startup:
    """What was found and set before JAX is imported.

    Attributes:
        backend: The backend that was chosen.
        host: The machine.
        variables: The environment that was planned.
    """

    backend: Backend
    host: Host
    variables: tuple[Variable, ...]


def plan_startup(settings: Settings) -> Startup:
    """Looks at the machine and plans backend and environment; sets nothing.

    Args:
        settings: Resolved settings.

    Raises:
        SetupError: the backend asked for cannot be used here.
        UsageError: device or attention kernels do not fit together.
    """
    host = probe_host(os.environ)
    backend = resolve_backend(settings, host)
    flags = cpu_xla_flags(settings, host) if backend.name == "cpu" else ()
    variables = plan_environment(settings, host, os.environ, backend=backend, extra_xla_flags=flags)
    return Startup(backend, host, variables)


def prepare_process(settings: Settings) -> Startup:
    """Sets up logging, picks the backend and sets the environment for it.

    Commands that share compiled programs must set the same environment, since it is
    part of what identifies them.

    Args:
        settings: Checked settings.

    Returns:
        What was found and set.

    Raises:
        SetupError: the backend asked for cannot be used here, or others can write to
            AF3OPT_HOME.
        UsageError: device or attention kernels do not fit together.
    """
    configure_logging(settings)
    check_home()
    startup = plan_startup(settings)
    _log.info("%s", startup.backend.message)
    for note in environment_notes(startup.variables):
        _log.info("%s", note)
    apply_environment(startup.variables, os.environ)
    return startup
