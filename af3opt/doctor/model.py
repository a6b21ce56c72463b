"""The model: its parameters, and what importing the engine and asking for a device shows."""

import json
import os
import re
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from af3opt.base.child_process import module_command
from af3opt.base.errors import SetupError
from af3opt.base.json_types import Json, JsonObject
from af3opt.data.synthetic_weights import read_manifest
from af3opt.doctor.check import (
    Check,
    Subject,
    failure,
    failure_of,
    gigabytes,
    ok,
    skipped,
    warning,
)
from af3opt.engine.discovery import find_engine
from af3opt.environment.backend import Backend
from af3opt.environment.environment import apply_environment, plan_environment

_PROBE_TIMEOUT_S = 8.0
# Whole, compressed, or a part of a split file.
_WEIGHTS = re.compile(r"\.bin(\.zst)?(\.\d+)?$")
_NOTHING = "nothing: the engine's own code runs instead; see docs/supporting-an-engine.md"
_INSTALL = "install it and the model runs faster; without it the engine's own code runs"
_WEIGHTS_FIX = (
    "point --model_dir (or AF3_MODEL_PARAMETERS_DIR) at the directory with the model parameters "
    "that Google gave you"
)


def check_weights(subject: Subject) -> Iterator[Check]:
    """Model parameters: there, readable, and true ones."""
    settings = subject.settings
    if not settings.run_inference:
        yield skipped("weights", "--norun_inference")
        return
    folder = settings.model_dir.expanduser()
    files = _weight_files(subject)
    if not files:
        found = "holds no *.bin or *.bin.zst" if folder.is_dir() else "no such directory"
        yield failure("weights", f"--model_dir={folder}: {found}", _WEIGHTS_FIX)
        return
    unreadable = [path for path in files if not os.access(path, os.R_OK)]
    if unreadable:
        yield failure("weights", f"{unreadable[0]} cannot be read", "ask its owner for access")
        return
    size = gigabytes(sum(path.stat().st_size for path in files))
    label = f"{', '.join(path.name for path in files)} in {folder}, {size}"
    try:
        synthetic = read_manifest(folder) is not None
    except SetupError as error:
        yield failure("weights", str(error), "run af3opt prepare --synthetic_weights again")
        return
    if synthetic:
        yield warning(
            "weights",
            f"{label}: random ones made by af3opt prepare; their structures mean nothing",
            "for predictions give --model_dir with the true parameters",
        )
    else:
        yield ok("weights", label)


def _weight_files(subject: Subject) -> list[Path]:
    folder = subject.settings.model_dir.expanduser()
    return sorted(path for path in folder.glob("*") if _WEIGHTS.search(path.name))


def check_model(subject: Subject) -> Iterator[Check]:
    """Device, content of the weights, engine and optimisations, in a process of its own."""
    try:
        find_engine()
    except SetupError:
        yield skipped("engine import", "no engine")
        return
    facts, seconds = _ask_engine(subject, subject.backend)
    yield from _device(facts)
    yield from _weights_content(subject, facts)
    yield from _engine(facts, seconds)


def _device(facts: Mapping[str, Json]) -> Iterator[Check]:
    if "device" in facts:
        yield ok("device", facts["device"])
    elif "device_error" in facts:
        fix = "reinstall JAX and its plugin in the same version, or give --jax_backend=cpu"
        yield failure_of("device", facts["device_error"], fix)


def _weights_content(subject: Subject, facts: Mapping[str, Json]) -> Iterator[Check]:
    # Files that are missing altogether are reported by `check_weights`.
    if not subject.settings.run_inference or not _weight_files(subject):
        return
    if "weights_error" in facts:
        yield failure_of("weights content", facts["weights_error"], _WEIGHTS_FIX)
    elif "weights" in facts:
        yield ok("weights content", "the engine takes these files; the first parameter is whole")


def _engine(facts: Mapping[str, Json], seconds: float) -> Iterator[Check]:
    if "engine_error" in facts:
        yield failure_of("engine import", facts["engine_error"], "reinstall the engine and JAX")
    elif "engine_seconds" in facts:
        yield ok("engine import", f"{facts['engine_seconds']:.1f} s")
        yield from _optimisations(facts["optimisations"], facts["lacking_package"])
    elif seconds < _PROBE_TIMEOUT_S:
        found = "the process that imported the engine died without a word"
        yield failure("engine import", found, "reinstall the engine and JAX")
    else:
        yield warning(
            "engine import",
            f"took longer than {_PROBE_TIMEOUT_S:.0f} s, so optimisations were not looked at",
            "once more, now that the files are cached; if it stays so, the machine is busy or "
            "the disk under the environment is slow, which every start will feel",
        )


def _optimisations(
    obstacles: Mapping[str, str | None], lacking_package: Sequence[str]
) -> Iterator[Check]:
    fitting = [name for name, obstacle in obstacles.items() if obstacle is None]
    yield ok("optimisations", f"fit this engine: {', '.join(fitting) or 'none'}")
    for name, obstacle in obstacles.items():
        if obstacle is not None:
            yield warning(
                f"optimisation {name}",
                f"steps aside: {obstacle}",
                _INSTALL if name in lacking_package else _NOTHING,
            )


def _ask_engine(subject: Subject, backend: Backend | None) -> tuple[JsonObject, float]:
    """Runs `engine_probe` and returns what it said before it ended or was ended."""
    environ = dict(subject.environ)
    if backend is not None:
        variables = plan_environment(subject.settings, subject.host, environ, backend=backend)
        apply_environment(variables, environ)
    else:
        environ["JAX_PLATFORMS"] = "cpu"
    # A look must not take the GPU's memory away from a job that uses it.
    environ["XLA_PYTHON_CLIENT_PREALLOCATE"] = "false"
    environ["PYTHONPATH"] = os.pathsep.join(
        filter(None, (str(Path(__file__).parents[2]), environ.get("PYTHONPATH")))
    )
    command = module_command("af3opt.doctor.engine_probe")
    device = (backend.name, backend.flash_attention) if backend else ("cpu", "xla")
    command += [*device, str(subject.settings.model_dir)]
    start = time.monotonic()
    try:
        output = subprocess.run(
            command, env=environ, capture_output=True, timeout=_PROBE_TIMEOUT_S, check=False
        ).stdout
    except subprocess.TimeoutExpired as error:
        output = error.stdout or b""
    facts: JsonObject = {}
    for line in output.decode(errors="replace").splitlines():
        if line.startswith("{"):
            facts |= json.loads(line)
    return facts, time.monotonic() - start
