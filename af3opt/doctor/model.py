"""The model: its parameters, and what importing the engine and asking for a device shows."""

import dataclasses
import json
import os
import re
import subprocess
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

_TIME_LIMIT_S = 8.0
# Whole, compressed, or a part of a split file.
_WEIGHTS = re.compile(r"\.bin(\.zst)?(\.\d+)?$")
# What XLA says before it ends the process.
_UNKNOWN_FLAGS = re.compile(r"Unknown flags? in XLA_FLAGS: .{1,300}")
_MOST_WORDS = 300
_NOTHING = "nothing: the engine's own code runs instead; see docs/supporting-an-engine.md"
_INSTALL = "install it and the model runs faster; without it the engine's own code runs"
_WEIGHTS_FIX = (
    "point --model_dir (or AF3_MODEL_PARAMETERS_DIR) at the directory with the model parameters "
    "that Google gave you"
)


@dataclasses.dataclass(frozen=True, slots=True)
class _Answer:
    """What the probe found, what it wrote to standard error, and when it was ended.

    Attributes:
        ended_after_s: The time limit that it did not keep, or None.
    """

    facts: JsonObject
    last_words: str
    ended_after_s: float | None


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


def check_model(subject: Subject, time_limit_s: float = _TIME_LIMIT_S) -> Iterator[Check]:
    """Device, content of the weights, engine and optimisations, in a process of its own.

    Args:
        subject: What is examined.
        time_limit_s: How long that process may take; what it has found by then counts.
    """
    try:
        find_engine()
    except SetupError:
        yield skipped("engine import", "no engine")
        return
    answer = _ask_engine(subject, subject.backend, time_limit_s)
    yield from _device(answer.facts)
    yield from _weights_content(subject, answer.facts)
    yield from _engine(answer)


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


def _engine(answer: _Answer) -> Iterator[Check]:
    facts = answer.facts
    if unknown := _UNKNOWN_FLAGS.search(answer.last_words):
        found = f"XLA ends every program that has them: {unknown[0]}"
        yield failure("XLA flags", found, "take them out of XLA_FLAGS, or update jaxlib")
    elif "no_component_data" in facts:  # `check_engine` says what to do about it.
        yield skipped("engine import", "needs the component data")
    elif "engine_error" in facts:
        yield failure_of("engine import", facts["engine_error"], "reinstall the engine and JAX")
    elif "engine_seconds" in facts:
        yield ok("engine import", f"{facts['engine_seconds']:.1f} s")
        yield from _optimisations(facts["optimisations"], facts["lacking_package"])
    elif answer.ended_after_s is None:
        last = (answer.last_words.split("\n") or [""])[-1].strip()[:_MOST_WORDS]
        found = f"the process that imported the engine died: {last or 'it said nothing'}"
        yield failure("engine import", found, "reinstall the engine and JAX")
    else:
        yield warning(
            "engine import",
            f"took longer than {answer.ended_after_s:.0f} s, so optimisations were not checked",
            "try again, now that the files are cached; if it takes as long again, the machine is "
            "busy or the disk of the environment is slow: then every start of af3opt is slow",
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


def _ask_engine(subject: Subject, backend: Backend | None, time_limit_s: float) -> _Answer:
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
    ended_after_s = None
    try:
        ended = subprocess.run(
            command, env=environ, capture_output=True, timeout=time_limit_s, check=False
        )
        output, errors = ended.stdout, ended.stderr
    except subprocess.TimeoutExpired as error:
        output, errors = error.stdout or b"", error.stderr or b""
        ended_after_s = time_limit_s
    facts: JsonObject = {}
    for line in output.decode(errors="replace").splitlines():
        if line.startswith("{"):
            facts |= json.loads(line)
    return _Answer(facts, errors.decode(errors="replace").strip(), ended_after_s)
