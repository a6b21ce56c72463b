"""Python, the engine, JAX and what belongs to them, by what is installed."""

import importlib.metadata
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from af3opt.base.errors import SetupError
from af3opt.base.installing import pip_install
from af3opt.data.prepared import PreparedData, find_prepared
from af3opt.data.resources import engine_ccd_file
from af3opt.data.source import same_file
from af3opt.doctor.check import (
    Check,
    Subject,
    failure,
    failure_of,
    ok,
    skipped,
    warning,
)
from af3opt.engine.discovery import find_engine
from af3opt.engine.own_script import own_script
from af3opt.environment.cpu_flags import cpu_xla_flags
from af3opt.environment.tuning import load_tuning

# The oldest JAX whose XLA:CPU compiles the model as well as the newest does.
_FAST_ON_CPU = (0, 12)
_PLUGIN = re.compile(r"jax-cuda(?P<major>\d+)-plugin")


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
    script = own_script()
    beside = f", its script {script}" if script is not None else ""
    yield ok("engine", f"{engine.label} in {engine.root}{beside}")
    yield _component_data(find_prepared(), engine_ccd_file())


def _component_data(prepared: PreparedData | None, own: Path) -> Check:
    """What a run will take the chemical components from.

    Args:
        prepared: Made by `af3opt prepare`, or None.
        own: Where the engine keeps its own; it may not exist.
    """
    name = "component data"
    if prepared is not None and not own.is_file():
        return ok(name, f"prepared in {prepared.root}")
    if prepared is not None and same_file(prepared.source, own):
        return ok(name, f"the engine's own ({own}), through its index in {prepared.root}")
    if not own.is_file():
        return failure(name, "none", "run `af3opt prepare` once on this machine")
    other = f"; {prepared.root} was made from another source" if prepared is not None else ""
    return warning(
        name,
        f"the engine's own ({own}), which takes seconds and gigabytes to load{other}",
        "run `af3opt prepare` once with this engine: it makes an index that opens at once",
    )


def check_jax(subject: Subject) -> Iterator[Check]:
    """Versions of JAX and its parts, by their metadata."""
    return judge_jax(subject, _versions())


def judge_jax(subject: Subject, versions: Mapping[str, str]) -> Iterator[Check]:
    """Whether JAX and its parts belong together and suit this machine.

    Args:
        subject: What is examined.
        versions: Name -> version of what is installed of them.
    """
    if "jax" not in versions or "jaxlib" not in versions:
        missing = "jax" if "jax" not in versions else "jaxlib"
        yield failure("jax", f"{missing} is not installed", pip_install("engine"))
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
        f"{pip_install('engine')} in an environment of its own, and compare on this machine with "
        "af3opt bench --suite=quick --baseline_python=PATH (docs/performance.md has figures)",
    )


def check_tuning(subject: Subject) -> Iterator[Check]:
    """What `af3opt tune` found on this kind of host."""
    if not _is_for_cpu(subject):
        yield skipped("tuning", "for CPUs only")
        return
    chosen = load_tuning(subject.settings, subject.host)
    if chosen is None:
        shipped = [flag for flag, _ in cpu_xla_flags(subject.settings, subject.host)]
        yield skipped(
            "tuning",
            f"only the shipped XLA flags are used ({_joined(shipped)}); af3opt tune may find "
            "faster ones for this kind of host",
        )
        return
    yield ok(
        "tuning",
        f"{_joined(chosen.xla_flags)}, trunk {chosen.trunk_precision}, "
        f"diffusion {chosen.diffusion_precision}",
    )


def _joined(flags: Sequence[str]) -> str:
    return " ".join(flags) or "no XLA flags"


def check_cuda(subject: Subject) -> Iterator[Check]:
    """Whether the driver is new enough for the CUDA that the plugin brings."""
    return judge_cuda(subject, _versions())


def judge_cuda(subject: Subject, versions: Mapping[str, str]) -> Iterator[Check]:
    """See `check_cuda`; `versions` are as for `judge_jax`."""
    plugins = [match for name in versions if (match := _PLUGIN.fullmatch(name))]
    if not subject.host.gpus:
        yield skipped("CUDA", "no GPU")
        return
    if not plugins:
        yield failure("CUDA", "JAX has no CUDA plugin", pip_install("cuda12"))
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


def _is_for_cpu(subject: Subject) -> bool:
    backend = subject.backend
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
