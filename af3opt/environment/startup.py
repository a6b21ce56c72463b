"""Preparing the process before JAX is imported; the same for every command that uses it."""

import dataclasses
import logging
import os
from collections.abc import Mapping

from af3opt.base.logs import configure_logging
from af3opt.base.paths import check_home
from af3opt.environment.backend import Backend, resolve_backend
from af3opt.environment.cpu_flags import cpu_xla_flags
from af3opt.environment.environment import (
    BY_USER,
    Variable,
    apply_environment,
    environment_notes,
    own_xla_flags,
    plan_environment,
)
from af3opt.environment.neutral import result_variables
from af3opt.host.host import Host, probe_host
from af3opt.settings.settings import Settings

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, slots=True)
class Startup:
    """What was found and set before JAX is imported.

    Attributes:
        backend: The backend that was chosen.
        host: The machine.
        variables: The environment that was planned, and what else was exported that may
            change results.
        deciding: Of these, name -> value of what may change results.
    """

    backend: Backend
    host: Host
    variables: tuple[Variable, ...]
    deciding: Mapping[str, str] = dataclasses.field(default_factory=dict)


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
    own_flags = [flag for flag, _ in (*own_xla_flags(backend), *flags)]
    planned = {variable.name: variable.value for variable in variables}
    deciding = result_variables({**os.environ, **planned}, own_flags)
    exported = tuple(
        Variable(name, value, "exported before the start; may change results", BY_USER)
        for name, value in deciding.items()
        if name not in planned
    )
    return Startup(backend, host, (*variables, *exported), deciding)


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
