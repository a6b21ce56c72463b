"""Python, the engine, JAX and what belongs to them."""

import importlib.metadata
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from af3opt.backend import Backend, resolve_backend
from af3opt.data.prepared import find_prepared
from af3opt.data.synthetic_weights import read_manifest
from af3opt.doctor.check import Check, Subject, failure, failure_of, gigabytes, ok, skipped, warning
from af3opt.engine.discovery import find_engine
from af3opt.environment import apply_environment, plan_environment
from af3opt.errors import Af3optError, SetupError
from af3opt.inference.tuning import load_tuning

# The oldest JAX whose XLA:CPU compiles the model as well as the newest does.
_FAST_ON_CPU = (0, 12)
_PLUGIN = re.compile(r"jax-cuda(?P<major>\d+)-plugin")
_ENGINE_PROBE_TIMEOUT_S = 8.0
# Whole, compressed, or a part of a split file.
_WEIGHTS = re.compile(r"\.bin(\.zst)?(\.\d+)?$")
_WEIGHTS_FIX = (
    "point --model_dir (or AF3_MODEL_PARAMETERS_DIR) at the directory with the model parameters "
    "that Google gave you"
)


def check_python(_: Subject) -> Iterator[Check]:
    """The interpreter."""
    version = ".".join(map(str, sys.version_info[:3]))
    yield ok("python", f"{version} ({sys.executable})")


def check_engine(_: Subject) -> Iterator[Check]:
    """The engine, found without importing it, and its chemical component data."""
    try:
        engine = find_engine()
    except SetupError as error:
        yield failure_of("engine", error, "install AlphaFold 3 for this Python")
        return
    yield ok("engine", f"{engine.label} in {engine.root}")
    own = engine.root / "constants" / "converters" / "ccd.pickle"
    prepared = find_prepared()
    if prepared is not None:
        yield ok("component data", f"prepared in {prepared.root}")
    elif own.is_file():
        yield warning(
            "component data",
            f"the engine's own ({own}), which takes seconds and gigabytes to load",
            "run `af3opt prepare` once: it makes an index that opens at once",
        )
    else:
        yield failure("component data", "none", "run `af3opt prepare` once on this machine")


def check_jax(subject: Subject) -> Iterator[Check]:
    """Versions of JAX and its parts, by their metadata."""
    versions = _versions()
    if "jax" not in versions or "jaxlib" not in versions:
        missing = "jax" if "jax" not in versions else "jaxlib"
        yield failure("jax", f"{missing} is not installed", "pip install 'af3opt[engine]'")
        return
    listed = ", ".join(f"{name} {version}" for name, version in sorted(versions.items()))
    yield ok("jax", listed)
    jaxlib = _release(versions["jaxlib"])
    for name, version in versions.items():
        if _PLUGIN.fullmatch(name) and _release(version) != jaxlib:
            yield failure(
                "jax plugin",
                f"{name} {version} does not belong to jaxlib {versions['jaxlib']}: JAX will not "
                "use it",
                f"pip install '{name}=={versions['jaxlib']}' and the pjrt package of that version",
            )
    if _is_for_cpu(subject) and jaxlib[:2] < _FAST_ON_CPU:
        yield _upgrade(subject, versions["jax"])


def _upgrade(subject: Subject, version: str) -> Check:
    native = "avx512_bf16" in subject.host.cpu.isa or "amx_bf16" in subject.host.cpu.isa
    gain = (
        "this processor multiplies bfloat16 natively, which JAX 0.12 uses and yours does not"
        if native
        else "JAX 0.12 compiles the model better for CPUs; here the gain is the one of float32"
    )
    return warning(
        "jax upgrade",
        f"jax {version} on a CPU: {gain}",
        "install af3opt[engine] in an environment of its own, and compare on this machine with "
        "af3opt bench --suite=quick --baseline_python=PATH (docs/performance.md has figures)",
    )


def check_tuning(subject: Subject) -> Iterator[Check]:
    """What `af3opt tune` found on this kind of host."""
    if not _is_for_cpu(subject):
        yield skipped("tuning", "for CPUs only")
        return
    chosen = load_tuning(subject.settings, subject.host)
    if chosen is None:
        yield skipped(
            "tuning", "none in use on this kind of host; af3opt tune may find a faster choice"
        )
        return
    flags = " ".join(chosen.xla_flags) or "no XLA flags"
    yield ok(
        "tuning",
        f"{flags}, trunk {chosen.trunk_precision}, diffusion {chosen.diffusion_precision}",
    )


def check_cuda(subject: Subject) -> Iterator[Check]:
    """Whether the driver is new enough for the CUDA that the plugin brings."""
    plugins = [match for name in _versions() if (match := _PLUGIN.fullmatch(name))]
    if not subject.host.gpus:
        yield skipped("CUDA", "no GPU")
        return
    if not plugins:
        yield failure("CUDA", "JAX has no CUDA plugin", "pip install 'af3opt[cuda12]'")
        return
    driver = _driver_cuda(subject.environ)
    version = subject.host.gpus[0].driver_version
    if driver is None:
        yield warning(
            "CUDA", f"driver {version} does not say which CUDA it supports", "run nvidia-smi"
        )
        return
    needed = max(int(match["major"]) for match in plugins)
    supported = f"driver {version} supports CUDA {driver[0]}.{driver[1]}"
    if driver[0] < needed:
        yield failure(
            "CUDA",
            f"{supported}, JAX's plugin needs CUDA {needed}",
            f"update the driver, or install the plugin for CUDA {driver[0]}",
        )
    else:
        yield ok("CUDA", f"{supported}, JAX's plugin needs CUDA {needed}")


def check_model(subject: Subject) -> Iterator[Check]:
    """Engine import, device, weights and optimisations, in a process of its own."""
    try:
        find_engine()
    except SetupError:
        yield skipped("engine import", "no engine")
        return
    backend = _backend_or_none(subject)
    facts, seconds = _ask_engine(subject, backend)
    if "error" in facts:
        yield failure("engine import", str(facts["error"]), "reinstall the engine and JAX")
        return
    if "device" not in facts:
        yield warning(
            "engine import",
            f"not finished after {seconds:.0f} s",
            "once more, now that the files are cached; a slow disk under the environment makes "
            "every start slow",
        )
        return
    yield ok("engine import", f"{facts['seconds']:.1f} s, device: {facts['device']}")
    yield from _weights_content(subject, facts)
    yield from _optimisations(facts)


def check_weights(subject: Subject) -> Iterator[Check]:
    """Model parameters: there, readable, and true ones."""
    settings = subject.settings
    if not settings.run_inference:
        yield skipped("weights", "--norun_inference")
        return
    folder = settings.model_dir.expanduser()
    files = sorted(path for path in folder.glob("*") if _WEIGHTS.search(path.name))
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


def _weights_content(subject: Subject, facts: Mapping[str, Any]) -> Iterator[Check]:
    if not subject.settings.run_inference:
        return
    if "weights_error" in facts:
        yield failure("weights content", str(facts["weights_error"]), _WEIGHTS_FIX)
    elif "weights" in facts:
        yield ok("weights content", "the engine takes these files; the first parameter is whole")


def _optimisations(facts: Mapping[str, Any]) -> Iterator[Check]:
    obstacles: Mapping[str, str | None] = facts.get("optimisations", {})
    if not obstacles:
        return
    fitting = [name for name, obstacle in obstacles.items() if obstacle is None]
    yield ok("optimisations", f"fit this engine: {', '.join(fitting) or 'none'}")
    for name, obstacle in obstacles.items():
        if obstacle is not None:
            yield warning(
                f"optimisation {name}",
                f"steps aside: {obstacle}",
                "nothing: the engine's own code runs instead; see docs/supporting-an-engine.md",
            )


def _ask_engine(subject: Subject, backend: Backend | None) -> tuple[dict[str, Any], float]:
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
    command = [sys.executable, "-m", "af3opt.doctor.engine_probe"]
    command += [backend.name if backend else "cpu", str(subject.settings.model_dir)]
    start = time.monotonic()
    try:
        output = subprocess.run(
            command, env=environ, capture_output=True, timeout=_ENGINE_PROBE_TIMEOUT_S, check=False
        ).stdout
    except subprocess.TimeoutExpired as error:
        output = error.stdout or b""
    facts: dict[str, Any] = {}
    for line in output.decode(errors="replace").splitlines():
        if line.startswith("{"):
            facts |= json.loads(line)
    seconds = time.monotonic() - start
    if not facts and seconds < _ENGINE_PROBE_TIMEOUT_S:
        facts["error"] = "the process that imported the engine died without a word"
    return facts, seconds


def _backend_or_none(subject: Subject) -> Backend | None:
    try:
        return resolve_backend(subject.settings, subject.host)
    except Af3optError:  # Reported by the check of the backend.
        return None


def _is_for_cpu(subject: Subject) -> bool:
    backend = _backend_or_none(subject)
    return backend is not None and backend.name == "cpu" and subject.settings.run_inference


def _versions() -> dict[str, str]:
    names = [
        str(distribution.metadata["Name"]).lower().replace("_", "-")
        for distribution in importlib.metadata.distributions()
    ]
    shown = {"jax", "jaxlib", "dm-haiku", "tokamax", "rdkit", "numpy"}
    return {
        name: importlib.metadata.version(name)
        for name in names
        if name in shown or name.startswith("jax-cuda")
    }


def _release(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", version)[:3])


def _driver_cuda(environ: Mapping[str, str]) -> tuple[int, int] | None:
    """The newest CUDA the driver supports, from the head of nvidia-smi's table."""
    try:
        table = subprocess.run(
            ["nvidia-smi"], env=dict(environ), capture_output=True, text=True, timeout=8, check=True
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    match = re.search(r"CUDA[^:|]*Version:\s*(\d+)\.(\d+)", table)
    return (int(match[1]), int(match[2])) if match else None
