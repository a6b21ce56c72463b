"""Processor, memory, GPUs and the backend that a run would choose."""

from collections.abc import Iterator

from af3opt.base.errors import Af3optError
from af3opt.doctor.check import Check, Subject, failure_of, gigabytes, ok, skipped, warning
from af3opt.environment.backend import resolve_backend

# Instruction sets that decide how fast the model is on a CPU, the best first.
_ISA_THAT_MATTERS = ("amx_bf16", "avx512_bf16", "avx512f", "avx2", "sve2", "sve", "asimd")
# Every 64-bit ARM processor has it.
_ARM = "asimd"
# Less cannot hold the parameters (1.5 GB as float32) and the smallest activations.
_SMALLEST_MEMORY = 4e9


def check_cpu(subject: Subject) -> Iterator[Check]:
    """Model, instruction sets, and the cores this process may use."""
    cpu = subject.host.cpu
    sets = [name for name in _ISA_THAT_MATTERS if name in cpu.isa]
    text = f"{cpu.model}, {', '.join(sets) or 'none of the wide instruction sets'}"
    if "sse2" in cpu.isa and "avx2" not in cpu.isa and subject.settings.run_inference:
        yield warning("CPU", text, "run on a processor with AVX2 or later; this one is very slow")
    elif _ARM in cpu.isa:
        yield warning(
            "CPU",
            f"{text}; af3opt was never run on an ARM processor",
            "compare a job with --fidelity=exact first; docs/sites.md says what is missing there",
        )
    else:
        yield ok("CPU", text)
    wanted = subject.settings.num_threads
    threads = f"{cpu.usable_cores} usable cores ({cpu.limits})"
    if wanted is not None and wanted > cpu.usable_cores:
        yield warning(
            "threads",
            f"--num_threads={wanted}, but only {threads}",
            "leave --num_threads out, or ask the scheduler for more cores",
        )
    else:
        yield ok("threads", threads)
    nodes = [node for node in subject.host.numa_nodes if node.cpus]
    if len(nodes) > 1:
        yield ok("NUMA", f"{len(nodes)} nodes; a CPU run is faster within one (numactl -N 0 -m 0)")


def check_memory(subject: Subject) -> Iterator[Check]:
    """The memory this process may use."""
    memory = subject.host.memory
    if memory.limit_bytes is None:
        yield skipped("memory", "not known")
    elif memory.limit_bytes < _SMALLEST_MEMORY and subject.settings.run_inference:
        yield warning(
            "memory",
            f"{gigabytes(memory.limit_bytes)} ({memory.source})",
            "the model needs 4 GB and more: ask the scheduler for it (--mem)",
        )
    else:
        yield ok("memory", f"{gigabytes(memory.limit_bytes)} ({memory.source})")


def check_gpu(subject: Subject) -> Iterator[Check]:
    """The GPUs that can be seen."""
    host = subject.host
    for index, gpu in enumerate(host.gpus):
        yield ok(
            f"GPU {index}",
            f"{gpu.name}, {gigabytes(gpu.memory_bytes)}, compute capability "
            f"{gpu.compute_capability}, driver {gpu.driver_version}",
        )
        if 7.0 <= gpu.compute_capability < 8.0:
            yield warning(
                f"GPU {index} numerics",
                "compute capability 7.x gives wrong structures with XLA's custom kernel fusion",
                "af3opt run sets the flag against it; give it yourself to other scripts: "
                "XLA_FLAGS=--xla_disable_hlo_passes=custom-kernel-fusion-rewriter",
            )
    if not host.gpus:
        yield skipped("GPU", host.gpu_problem or "none")


def check_backend(subject: Subject) -> Iterator[Check]:
    """Where a run with these settings would compute, with which attention kernels."""
    try:
        backend = resolve_backend(subject.settings, subject.host)
    except Af3optError as error:
        advice = "ask the scheduler for a GPU (--gres=gpu:1), or leave --jax_backend out"
        yield failure_of("backend", error, advice)
    else:
        yield ok("backend", backend.message.removeprefix("backend: "))
