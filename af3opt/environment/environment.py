"""The environment variables to set before JAX is imported, each with its reason.

`plan_environment` is pure: it computes, `apply_environment` sets. A variable the
user exported keeps its value; XLA_FLAGS are merged flag by flag.
"""

import dataclasses
import shlex
from collections.abc import Iterable, Iterator, Mapping, MutableMapping, Sequence

from af3opt.environment.backend import Backend, resolve_backend
from af3opt.environment.xla_flags import merge_xla_flags
from af3opt.host.host import Host
from af3opt.settings.settings import Settings

BY_USER = "exported"
BY_AF3OPT = "af3opt"

_XLA_FLAGS = "XLA_FLAGS"

# jaxlib refuses to start when both the current and the older name are set.
_SAME_MEANING = {"XLA_CLIENT_MEM_FRACTION": "XLA_PYTHON_CLIENT_MEM_FRACTION"}


@dataclasses.dataclass(frozen=True, slots=True)
class Variable:
    """One environment variable.

    Attributes:
        name: Its name.
        value: The value it has or gets.
        reason: Why, in one line.
        origin: Who decided: "exported" (the user, before the start), "preset NAME"
            or "af3opt".
        note: Something the log must say (a user's value that differs from ours), or "".
    """

    name: str
    value: str
    reason: str
    origin: str
    note: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class _Wish:
    """A value somebody below the user wants a variable to have."""

    name: str
    value: str
    reason: str
    origin: str = BY_AF3OPT


def plan_environment(
    settings: Settings,
    host: Host,
    environ: Mapping[str, str],
    *,
    backend: Backend | None = None,
    extra_xla_flags: Sequence[tuple[str, str]] = (),
) -> tuple[Variable, ...]:
    """Computes the environment for this host and backend.

    Args:
        settings: Resolved settings.
        host: The machine.
        environ: What is exported already.
        backend: The backend, if it is resolved already.
        extra_xla_flags: Further (flag, reason) pairs, such as tuned ones. They rank
            above af3opt's own, below the preset's and the user's.

    Returns:
        The variables in a fixed order.

    Raises:
        SetupError: see `resolve_backend`.
        UsageError: see `resolve_backend`.
    """
    backend = backend or resolve_backend(settings, host)
    preset = f"preset {settings.config}"
    from_preset = dict(settings.preset_environment)
    preset_flags = from_preset.pop(_XLA_FLAGS, "")
    wishes = {wish.name: wish for wish in _own_wishes(settings, host, backend)}
    wishes |= {
        name: _Wish(name, value, "from the preset's [environment] table", preset)
        for name, value in from_preset.items()
    }
    flags = (*own_xla_flags(backend), *extra_xla_flags)
    variables = [*_settle(wishes.values(), environ)]
    merged = _merge_flags(environ.get(_XLA_FLAGS, ""), preset_flags, flags)
    return (*variables, merged) if merged else tuple(variables)


def apply_environment(variables: Iterable[Variable], environ: MutableMapping[str, str]) -> None:
    """Sets the variables; must happen before JAX is imported.

    Args:
        variables: Result of `plan_environment`.
        environ: Usually `os.environ`.
    """
    environ.update({variable.name: variable.value for variable in variables})


def environment_notes(variables: Iterable[Variable]) -> tuple[str, ...]:
    """Returns the lines the log must show: where a user's value stands against ours."""
    return tuple(variable.note for variable in variables if variable.note)


def format_exports(variables: Iterable[Variable]) -> str:
    """Returns shell lines that export the variables, each with its reason as a comment."""
    lines = []
    for variable in variables:
        lines.append(f"# {variable.reason}")
        if variable.note:
            lines.append(f"# {variable.note}")
        lines.append(f"export {variable.name}={shlex.quote(variable.value)}")
    return "".join(f"{line}\n" for line in lines)


def _own_wishes(settings: Settings, host: Host, backend: Backend) -> Iterator[_Wish]:
    if backend.name == "gpu":
        yield _Wish("JAX_PLATFORMS", "cuda,cpu", "a GPU that fails to start must be an error")
        # CUDA's own order is the fastest first, which differs where GPUs do.
        yield _Wish("CUDA_DEVICE_ORDER", "PCI_BUS_ID", "GPUs are numbered as nvidia-smi does")
        yield from _gpu_memory(bool(settings.unified_memory))
    elif backend.name == "cpu":
        yield _Wish("JAX_PLATFORMS", "cpu", "the model runs on the CPU")
        threads, why = host.cpu.usable_cores, host.cpu.limits
        if settings.num_threads is not None:
            threads, why = settings.num_threads, "as set with num_threads"
        yield _Wish("PJRT_NPROC", str(threads), f"threads of the CPU backend: {why}")
    yield _Wish("JAX_TRACEBACK_FILTERING", "off", "failures are recorded with every frame")
    if settings.debug:
        yield _Wish("TF_CPP_MIN_LOG_LEVEL", "0", "--debug: all of XLA's own messages")
    else:
        yield _Wish("TF_CPP_MIN_LOG_LEVEL", "2", "of XLA's own messages errors only")


def _gpu_memory(unified: bool) -> Iterator[_Wish]:
    """Memory settings of AlphaFold 3's own documentation (docs/performance.md)."""
    if unified:
        spill = "--unified_memory: the GPU may spill to host memory"
        yield _Wish("XLA_PYTHON_CLIENT_PREALLOCATE", "false", spill)
        yield _Wish("TF_FORCE_UNIFIED_MEMORY", "true", spill)
        yield _Wish("XLA_CLIENT_MEM_FRACTION", "3.2", f"{spill}, up to 3.2 times its own")
    else:
        yield _Wish(
            "XLA_PYTHON_CLIENT_PREALLOCATE", "true", "one block from the start does not fragment"
        )
        yield _Wish("XLA_CLIENT_MEM_FRACTION", "0.95", "share of the GPU's memory for the model")


def own_xla_flags(backend: Backend) -> Iterator[tuple[str, str]]:
    """Yields (flag, reason) pairs that a backend needs wherever it is."""
    if backend.gpu is None:
        return
    if 7.0 <= backend.gpu.compute_capability < 8.0:
        yield (
            "--xla_disable_hlo_passes=custom-kernel-fusion-rewriter",
            "wrong numbers on compute capability 7.x otherwise",
        )
    else:
        yield "--xla_gpu_enable_triton_gemm=false", "compilation takes far longer otherwise"


def _settle(wishes: Iterable[_Wish], environ: Mapping[str, str]) -> Iterator[Variable]:
    for wish in wishes:
        name = wish.name
        older = _SAME_MEANING.get(name, name)
        if name not in environ and older in environ:
            name = older
        if name not in environ:
            yield Variable(name, wish.value, wish.reason, wish.origin)
            continue
        theirs = environ[name]
        note = "" if theirs == wish.value else f"{name}={theirs} kept ({wish.origin}: {wish.value})"
        yield Variable(name, theirs, "exported before the start", BY_USER, note)


def _merge_flags(
    exported: str, preset_flags: str, flags: Sequence[tuple[str, str]]
) -> Variable | None:
    """Merges XLA_FLAGS: the user's win over the preset's, those over `flags`."""
    below = merge_xla_flags(preset_flags, [flag for flag, _ in flags])
    merged = merge_xla_flags(exported, below.text.split())
    if not merged.text:
        return None
    reasons = [f"{flag} ({why})" for flag, why in flags if flag in merged.added]
    if exported.strip():
        reasons.insert(0, "exported flags kept")
    if preset_flags.strip():
        reasons.insert(0, "the preset's flags")
    origin = BY_AF3OPT if merged.added else BY_USER
    note = "; ".join((*below.kept, *merged.kept))
    return Variable(_XLA_FLAGS, merged.text, "; ".join(reasons), origin, note)
