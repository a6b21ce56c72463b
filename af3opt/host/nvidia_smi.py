"""The GPUs by the program `nvidia-smi`, where the package nvidia-ml-py is missing."""

import csv
import dataclasses
import re
import subprocess
from collections.abc import Mapping, Sequence

from af3opt.host.gpu import Gpu

_QUERY = "index,uuid,name,compute_cap,memory.total,driver_version"
# A node that wakes its GPUs from power saving takes several seconds to answer.
_TIMEOUT_S = 60

_GPU_LINE = re.compile(r"GPU \d+: .*\(UUID: (?P<uuid>GPU-[^)]+)\)")
_MIG_LINE = re.compile(r"\s+MIG (?P<profile>\S+)\s.*\(UUID: (?P<uuid>MIG-[^)]+)\)")
_PROFILE_GB = re.compile(r"\.(\d+)gb")


class NvidiaSmiError(Exception):
    """It cannot be used; the text says why."""


def list_gpus(environ: Mapping[str, str], *, slices: bool) -> tuple[Gpu, ...]:
    """Lists the GPUs of this machine.

    Args:
        environ: Its environment; gives PATH.
        slices: Also list MIG slices, after the GPUs.

    Raises:
        NvidiaSmiError: it is missing, fails or does not answer as expected.
    """
    try:
        listing = _nvidia_smi(environ, f"--query-gpu={_QUERY}", "--format=csv,noheader,nounits")
        installed = _parse_query(listing)
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        raise NvidiaSmiError(_problem(error)) from error
    if not installed:
        raise NvidiaSmiError("nvidia-smi lists no GPU")
    return (*installed, *(_mig_slices(environ, installed) if slices else ()))


def driver_cuda(environ: Mapping[str, str]) -> tuple[int, int] | None:
    """The newest CUDA the driver supports, from the head of nvidia-smi's table; or None."""
    try:
        table = _nvidia_smi(environ)
    except (OSError, subprocess.SubprocessError):
        return None
    match = re.search(r"CUDA[^:|]*Version:\s*(\d+)\.(\d+)", table)
    return (int(match[1]), int(match[2])) if match else None


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
