"""The NVIDIA GPUs this process may use, asked of `nvidia-smi` (no CUDA context is made)."""

import csv
import dataclasses
import re
import subprocess
from collections.abc import Mapping, Sequence

_QUERY = "index,uuid,name,compute_cap,memory.total,driver_version"
# A node that wakes its GPUs from power saving takes several seconds to answer.
_TIMEOUT_S = 60

_GPU_LINE = re.compile(r"GPU \d+: .*\(UUID: (?P<uuid>GPU-[^)]+)\)")
_MIG_LINE = re.compile(r"\s+MIG (?P<profile>\S+)\s.*\(UUID: (?P<uuid>MIG-[^)]+)\)")
_PROFILE_GB = re.compile(r"\.(\d+)gb")


@dataclasses.dataclass(frozen=True, slots=True)
class Gpu:
    """One GPU, or one MIG slice of one.

    Attributes:
        index: Position in nvidia-smi's list (bus order).
        uuid: "GPU-..." or "MIG-...".
        name: Product name.
        compute_capability: For example 8.0.
        memory_mib: Memory in MiB.
        driver_version: For example "550.54.15".
    """

    index: int
    uuid: str
    name: str
    compute_capability: float
    memory_mib: int
    driver_version: str

    @property
    def memory_bytes(self) -> int:
        """Memory in bytes."""
        return self.memory_mib << 20


@dataclasses.dataclass(frozen=True, slots=True)
class GpuProbe:
    """What the probe found.

    Attributes:
        gpus: Usable GPUs in the order CUDA_VISIBLE_DEVICES gives them.
        problem: Why there is none, or None.
    """

    gpus: tuple[Gpu, ...]
    problem: str | None = None


def probe_gpus(environ: Mapping[str, str]) -> GpuProbe:
    """Lists the usable GPUs; a failing `nvidia-smi` is a problem to report, not an error.

    Args:
        environ: Read for PATH and CUDA_VISIBLE_DEVICES. An entry that names no GPU
            hides itself and all that follow it, as in the CUDA driver.
    """
    visible = environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None and not visible.strip():
        return GpuProbe((), "CUDA_VISIBLE_DEVICES is set and empty, which hides every GPU")
    try:
        listing = _nvidia_smi(environ, f"--query-gpu={_QUERY}", "--format=csv,noheader,nounits")
        installed = _parse_query(listing)
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        return GpuProbe((), _problem(error))
    if not installed:
        return GpuProbe((), "nvidia-smi lists no GPU")
    if visible is None:
        return GpuProbe(installed)
    slices = _mig_slices(environ, installed) if "MIG-" in visible else ()
    chosen = _select(visible.split(","), (*installed, *slices))
    if not chosen:
        return GpuProbe((), f"CUDA_VISIBLE_DEVICES={visible} names no GPU of this machine")
    return GpuProbe(chosen)


def _nvidia_smi(environ: Mapping[str, str], *arguments: str) -> str:
    return subprocess.run(
        ["nvidia-smi", *arguments],
        env=dict(environ),
        check=True,
        capture_output=True,
        text=True,
        timeout=_TIMEOUT_S,
    ).stdout


def _problem(error: Exception) -> str:
    match error:
        case FileNotFoundError() | PermissionError():
            return "nvidia-smi is not on PATH"
        case subprocess.TimeoutExpired():
            return f"nvidia-smi did not answer within {_TIMEOUT_S} s"
        case subprocess.CalledProcessError():
            said = " ".join((error.stderr or error.stdout or "").split())
            return f"nvidia-smi failed (exit {error.returncode}): {said[:200]}"
        case _:
            return f"nvidia-smi could not be used: {error}"


def _parse_query(listing: str) -> tuple[Gpu, ...]:
    gpus = []
    for row in csv.reader(listing.splitlines(), skipinitialspace=True):
        if len(row) != 6:
            raise ValueError(f"unexpected line {','.join(row)!r}")
        index, uuid, name, capability, memory, driver = (cell.strip() for cell in row)
        gpus.append(Gpu(int(index), uuid, name, float(capability), _mib(memory), driver))
    return tuple(gpus)


def _mib(text: str) -> int:
    """Reads memory.total; chips that share the host's memory answer "[N/A]", taken as 0."""
    return int(text) if text.isdigit() else 0


def _mig_slices(environ: Mapping[str, str], installed: Sequence[Gpu]) -> tuple[Gpu, ...]:
    """Lists MIG slices, which `--query-gpu` leaves out, with their parent's capability."""
    try:
        listing = _nvidia_smi(environ, "-L")
    except (OSError, subprocess.SubprocessError):
        return ()
    by_uuid = {gpu.uuid: gpu for gpu in installed}
    parent: Gpu | None = None
    slices = []
    for line in listing.splitlines():
        if match := _GPU_LINE.match(line):
            parent = by_uuid.get(match["uuid"])
        elif parent is not None and (match := _MIG_LINE.match(line)):
            size = _PROFILE_GB.search(match["profile"])
            slices.append(
                dataclasses.replace(
                    parent,
                    uuid=match["uuid"],
                    name=f"{parent.name} MIG {match['profile']}",
                    memory_mib=int(size[1]) * 1024 if size else parent.memory_mib,
                )
            )
    return tuple(slices)


def _select(entries: Sequence[str], known: Sequence[Gpu]) -> tuple[Gpu, ...]:
    chosen: list[Gpu] = []
    for entry in map(str.strip, entries):
        match = next((gpu for gpu in known if _names(entry, gpu)), None)
        if match is None:
            break
        chosen.append(match)
    return tuple(chosen)


def _names(entry: str, gpu: Gpu) -> bool:
    """True if the entry is the GPU's index or the start of its UUID."""
    if entry.isdigit():
        return int(entry) == gpu.index and gpu.uuid.startswith("GPU-")
    return entry.startswith(("GPU-", "MIG-")) and gpu.uuid.startswith(entry)
