"""What this machine and job may use: cores, memory, GPUs.

Probes never raise for a machine that is merely unusual: a missing or odd file
means the fact is unknown.
"""

import dataclasses
import importlib.metadata
import math
import os
import platform
import re
from collections.abc import Mapping
from pathlib import Path

from af3opt.host.cgroups import CgroupLimits, read_cgroup_limits
from af3opt.host.gpus import Gpu, probe_gpus
from af3opt.host.queues.core import BatchJob, integer
from af3opt.host.queues.every import QUEUES, find_own_job

# Cpu.vendor of AMD's processors.
AMD = "AuthenticAMD"

# Fields of /proc/cpuinfo that tell generations of processors apart.
_MODEL_NUMBERS = ("cpu family", "model")


@dataclasses.dataclass(frozen=True, slots=True)
class Cpu:
    """The processor and the share of it this process may use.

    Attributes:
        model: Model name, "unknown" if not given. One without a number, such as "AMD EPYC",
            is followed by the processor's family and model.
        vendor: Such as "GenuineIntel".
        isa: Instruction-set flags as Linux names them, such as "avx512f".
        usable_cores: Cores to use, at least 1.
        limits: What bounds them: "affinity 64, cgroup quota 16, SLURM_CPUS_PER_TASK 8".
    """

    model: str
    vendor: str
    isa: frozenset[str]
    usable_cores: int
    limits: str


@dataclasses.dataclass(frozen=True, slots=True)
class Memory:
    """Main memory.

    Attributes:
        limit_bytes: Bytes this process may use, or None if unknown.
        source: What sets the limit: "cgroup", a scheduler such as "Slurm", or "physical memory".
    """

    limit_bytes: int | None
    source: str


@dataclasses.dataclass(frozen=True, slots=True)
class NumaNode:
    """One NUMA node and its CPU numbers."""

    index: int
    cpus: frozenset[int]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """Everything the environment and the log say about this machine.

    Attributes:
        name: Host name.
        cpu: The processor.
        memory: Main memory.
        numa_nodes: NUMA nodes, empty if unknown.
        gpus: Usable GPUs, in the order JAX numbers them.
        gpu_problem: Why there is no GPU, or None.
        jax_plugins: Names under which accelerator plugins of JAX are installed.
        jax_platforms: The JAX_PLATFORMS the user exported, or None.
        job: The job of a scheduler, or None outside one.
    """

    name: str
    cpu: Cpu
    memory: Memory
    numa_nodes: tuple[NumaNode, ...]
    gpus: tuple[Gpu, ...]
    gpu_problem: str | None
    jax_plugins: tuple[str, ...]
    jax_platforms: str | None
    job: BatchJob | None


def probe_host(environ: Mapping[str, str], root: Path = Path("/")) -> Host:
    """Looks at the machine.

    Args:
        environ: Environment variables of this process.
        root: Where the file system starts; another one in tests.
    """
    job = find_own_job(environ)
    limits = read_cgroup_limits(root)
    gpus = probe_gpus(environ)
    return Host(
        name=platform.node(),
        cpu=probe_cpu(job, limits, root),
        memory=probe_memory(job, limits, root),
        numa_nodes=probe_numa_nodes(root),
        gpus=gpus.gpus,
        gpu_problem=gpus.problem,
        jax_plugins=_jax_plugins(),
        jax_platforms=environ.get("JAX_PLATFORMS") or None,
        job=job,
    )


def probe_cpu(job: BatchJob | None, limits: CgroupLimits, root: Path = Path("/")) -> Cpu:
    """Reads the processor's facts and the cores this process may use."""
    bounds = {"affinity": _affinity()}
    if limits.cpus is not None:
        bounds["cgroup quota"] = max(1, math.floor(limits.cpus))
    if job is not None and job.cpus_per_task is not None:
        bounds[QUEUES[job.scheduler].cores_variable] = job.cpus_per_task
    facts = _cpuinfo(root)
    return Cpu(
        model=_cpu_model(facts),
        vendor=facts.get("vendor_id", "unknown"),
        isa=frozenset((facts.get("flags") or facts.get("Features", "")).split()),
        usable_cores=min(bounds.values()),
        limits=", ".join(f"{name} {cores}" for name, cores in bounds.items()),
    )


def probe_memory(job: BatchJob | None, limits: CgroupLimits, root: Path = Path("/")) -> Memory:
    """Finds the tightest limit on main memory."""
    bounds = {
        "cgroup": limits.memory_bytes,
        QUEUES[job.scheduler].title if job else "": job.memory_bytes if job else None,
        "physical memory": _physical_memory(root),
    }
    known = {source: size for source, size in bounds.items() if size}
    if not known:
        return Memory(None, "unknown")
    source = min(known, key=lambda name: known[name])
    return Memory(known[source], source)


def probe_numa_nodes(root: Path = Path("/")) -> tuple[NumaNode, ...]:
    """Lists the NUMA nodes; empty if the kernel does not say."""
    nodes = []
    for folder in (root / "sys/devices/system/node").glob("node[0-9]*"):
        cpus = _parse_cpu_list(_read(folder / "cpulist"))
        nodes.append(NumaNode(int(folder.name.removeprefix("node")), cpus))
    return tuple(sorted(nodes, key=lambda node: node.index))


def _affinity() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _cpu_model(facts: Mapping[str, str]) -> str:
    """The model name; with family and number where, as in virtual machines, it tells too little."""
    name = facts.get("model name", "unknown")
    numbers = [
        f"{field.removeprefix('cpu ')} {facts[field]}" for field in _MODEL_NUMBERS if field in facts
    ]
    if any(map(str.isdigit, name)) or not numbers:
        return name
    return f"{name} ({', '.join(numbers)})"


def _cpuinfo(root: Path) -> dict[str, str]:
    """Returns the first processor's entries of /proc/cpuinfo."""
    first = _read(root / "proc/cpuinfo").split("\n\n", maxsplit=1)[0]
    pairs = (line.partition(":") for line in first.splitlines())
    return {key.strip(): value.strip() for key, _, value in pairs}


def _physical_memory(root: Path) -> int | None:
    match = re.search(r"^MemTotal:\s+(\d+) kB", _read(root / "proc/meminfo"), re.MULTILINE)
    return int(match[1]) * 1024 if match else None


def _parse_cpu_list(text: str) -> frozenset[int]:
    """Reads Linux's list notation, such as "0-3,8"."""
    cpus: set[int] = set()
    for part in text.split(","):
        low, _, high = part.partition("-")
        first, last = integer(low), integer(high or low)
        if first is not None and last is not None:
            cpus.update(range(first, last + 1))
    return frozenset(cpus)


def _jax_plugins() -> tuple[str, ...]:
    points = importlib.metadata.entry_points(group="jax_plugins")
    return tuple(sorted({point.name for point in points}))


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
