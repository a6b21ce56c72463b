"""CPU and memory limits that control groups (v1, v2 or hybrid) put on this process.

A limit may sit on any ancestor of the process's group, so the tightest on the way
up to the root counts. Files that are missing or odd mean "no limit".
"""

import dataclasses
from collections.abc import Iterator
from pathlib import Path

# v1 writes "no limit" as the largest page-aligned number; nothing real comes near 2^60.
_UNLIMITED_BYTES = 1 << 60


@dataclasses.dataclass(frozen=True, slots=True)
class CgroupLimits:
    """The tightest limits; None where there is none.

    Attributes:
        cpus: CPU time per wall time, in cores (may be fractional).
        memory_bytes: Bytes of memory.
    """

    cpus: float | None
    memory_bytes: int | None


def read_cgroup_limits(root: Path = Path("/")) -> CgroupLimits:
    """Reads the limits of the current process.

    Args:
        root: Where the file system starts; another one in tests.
    """
    quotas = [*_v2_quotas(root), *_v1_quotas(root)]
    memory = [
        limit
        for folder in _folders(root, "memory")
        for name in ("memory.max", "memory.limit_in_bytes")
        if (limit := _integer(_read(folder / name))) is not None and limit < _UNLIMITED_BYTES
    ]
    return CgroupLimits(min(quotas, default=None), min(memory, default=None))


def _v2_quotas(root: Path) -> Iterator[float]:
    for folder in _folders(root, "cpu"):
        words = _read(folder / "cpu.max").split()
        if len(words) == 2:
            yield from _quota(words[0], words[1])


def _v1_quotas(root: Path) -> Iterator[float]:
    for folder in _folders(root, "cpu"):
        yield from _quota(_read(folder / "cpu.cfs_quota_us"), _read(folder / "cpu.cfs_period_us"))


def _quota(quota_us: str, period_us: str) -> Iterator[float]:
    quota, period = _integer(quota_us), _integer(period_us)
    if quota is not None and period is not None and quota > 0 and period > 0:
        yield quota / period


def _folders(root: Path, controller: str) -> Iterator[Path]:
    """Yields the process's group and its ancestors in every hierarchy with the controller."""
    mounts = root / "sys/fs/cgroup"
    for line in _read(root / "proc/self/cgroup").splitlines():
        _, _, rest = line.partition(":")
        controllers, _, group = rest.partition(":")
        if not controllers:  # v2, alone or as the "unified" part of a hybrid set-up
            tops = [mounts, mounts / "unified"]
        elif controller in controllers.split(","):
            tops = [mounts / controllers, mounts / controller]
        else:
            continue
        parts = [part for part in group.split("/") if part not in ("", "..")]
        for top in tops:
            for depth in range(len(parts), -1, -1):
                yield top.joinpath(*parts[:depth])


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def _integer(text: str) -> int | None:
    try:
        return int(text)
    except ValueError:
        return None
