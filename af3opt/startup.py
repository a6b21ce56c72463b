"""Preparing the process before JAX is imported; the same for every command that uses it."""

import logging
import os

from af3opt.backend import Backend, resolve_backend
from af3opt.environment import apply_environment, environment_notes, plan_environment
from af3opt.host import probe_host
from af3opt.logs import configure_logging
from af3opt.settings import Settings

_log = logging.getLogger(__name__)


def prepare_process(settings: Settings) -> Backend:
    """Sets up logging, picks the backend and sets the environment for it.

    Commands that share compiled programs must set the same environment, since it is
    part of what identifies them.

    Args:
        settings: Checked settings.

    Returns:
        The backend that was chosen.

    Raises:
        SetupError: the backend asked for cannot be used here.
        UsageError: device or attention kernels do not fit together.
    """
    configure_logging(settings)
    host = probe_host(os.environ)
    backend = resolve_backend(settings, host)
    _log.info("%s", backend.message)
    variables = plan_environment(settings, host, os.environ, backend=backend)
    for note in environment_notes(variables):
        _log.info("%s", note)
    apply_environment(variables, os.environ)
    return backend
