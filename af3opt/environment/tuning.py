"""What `af3opt tune` found fastest on this host, and where it is kept.

A result belongs to one processor model, number of cores, jaxlib and engine: the
flag that speeds up one jaxlib slows down the next. With none, the shipped choice
holds: flags from `cpu_flags`, precisions by instruction set.
"""

import dataclasses
import hashlib
import importlib.metadata
import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

from af3opt.base.atomic import atomic_write_text
from af3opt.base.errors import SetupError
from af3opt.base.foreign_files import read_private
from af3opt.base.json_files import parse_object
from af3opt.base.json_types import Json
from af3opt.base.paths import af3opt_home, private_directory
from af3opt.engine.discovery import find_engine
from af3opt.environment.known_flags import KNOWN_FLAGS
from af3opt.host.host import Host
from af3opt.settings.settings import Settings

_log = logging.getLogger(__name__)
_FORMAT = 1
_MOST_BYTES = 1 << 20
TRUNK_PRECISIONS = ("float32", "mixed")
DIFFUSION_PRECISIONS = ("float32", "split")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One way to run the model on a CPU.

    Attributes:
        xla_flags: Flags for XLA_FLAGS.
        trunk_precision: "mixed" or "float32".
        diffusion_precision: "float32" or "split".
    """

    xla_flags: tuple[str, ...] = ()
    trunk_precision: str
    diffusion_precision: str


def tuning_file(host: Host) -> Path:
    """Where the result for this processor, jaxlib and engine is.

    Raises:
        SetupError: there is no engine.
    """
    identity = [
        _FORMAT,
        host.cpu.model,
        sorted(host.cpu.isa),
        host.cpu.usable_cores,
        importlib.metadata.version("jaxlib"),
        find_engine().fingerprint,
    ]
    digest = hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:16]
    return af3opt_home() / "tuned" / f"{digest}.json"


def save_tuning(host: Host, chosen: Candidate, measured: Sequence[object]) -> Path:
    """Keeps a result for later runs.

    Args:
        host: The machine it was measured on.
        chosen: The fastest candidate.
        measured: All measurements, for the reader.

    Returns:
        The file written.
    """
    path = tuning_file(host)
    private_directory(path.parent)
    content = {"chosen": dataclasses.asdict(chosen), "measured": list(measured)}
    # The error of a candidate that failed is no number, which JSON does not have.
    content = json.loads(json.dumps(content), parse_constant=lambda _: None)
    atomic_write_text(path, json.dumps(content, indent=1) + "\n", mode=0o600)
    return path


def load_tuning(settings: Settings, host: Host) -> Candidate | None:
    """The tuned choice for this host, or None.

    Args:
        settings: Read for tuned and fidelity; flags reorder sums, so
            `--fidelity=exact` uses nothing of it.
        host: The machine.
    """
    if not settings.tuned or settings.fidelity == "exact":
        return None
    try:
        path = tuning_file(host)
        return _candidate(parse_object(read_private(path, _MOST_BYTES))["chosen"])
    except (FileNotFoundError, SetupError, importlib.metadata.PackageNotFoundError):
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        _log.warning("Ignoring %s (%s); run `af3opt tune` again", path, error)
        return None


def _candidate(chosen: Mapping[str, Json]) -> Candidate:
    """Makes a candidate of what a file says.

    Raises:
        ValueError: it holds a flag or precision that `af3opt tune` never tries.
        KeyError: something is missing.
        TypeError: something has another type.
    """
    flags = tuple(chosen["xla_flags"])
    if unknown := [flag for flag in flags if flag not in KNOWN_FLAGS]:
        raise ValueError(f"unknown flag {unknown[0]!r}")
    trunk, diffusion = chosen["trunk_precision"], chosen["diffusion_precision"]
    if trunk not in TRUNK_PRECISIONS or diffusion not in DIFFUSION_PRECISIONS:
        raise ValueError(f"unknown precision {trunk!r} or {diffusion!r}")
    return Candidate(xla_flags=flags, trunk_precision=trunk, diffusion_precision=diffusion)
