"""Where the workers of a pool run: each on its own GPU, or on disjoint cores of the CPU."""

import dataclasses
import os

from af3opt.base.errors import UsageError
from af3opt.host.gpus import probe_gpus
from af3opt.settings.settings import Settings


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """A place for a worker.

    Attributes:
        label: Short name, put before the worker's log lines.
        kind: Workers of one kind can use each other's compiled programs.
        cores: Cores of a CPU worker; empty for a GPU worker.
        gpu: UUID of the GPU, or None.
    """

    label: str
    kind: str
    cores: tuple[int, ...] = ()
    gpu: str | None = None


def find_slots(settings: Settings) -> list[Slot]:
    """Lists the places for workers that `--gpus` or `--cpu_workers` ask for.

    Raises:
        UsageError: there is no such GPU, or there are fewer cores than workers.
    """
    if settings.cpu_workers is not None:
        return _core_slots(settings.cpu_workers)
    assert settings.gpus is not None
    probe = probe_gpus(os.environ)
    if not probe.gpus:
        raise UsageError(f"--gpus={settings.gpus}: no usable GPU: {probe.problem}")
    wanted = range(len(probe.gpus)) if settings.gpus == "all" else _indices(settings.gpus)
    if max(wanted) >= len(probe.gpus):
        raise UsageError(
            f"--gpus={settings.gpus}: only {len(probe.gpus)} GPU(s) visible, numbered from 0"
        )
    gpus = [(index, probe.gpus[index]) for index in wanted]
    return [Slot(label=f"gpu {index}", kind=gpu.name, gpu=gpu.uuid) for index, gpu in gpus]


def _indices(text: str) -> list[int]:
    parts = text.split(",")
    if not all(part.isdigit() for part in parts) or len(set(parts)) != len(parts):
        raise UsageError(f"--gpus={text}: give all, or different indices such as 0,2")
    return [int(part) for part in parts]


def _core_slots(number: int) -> list[Slot]:
    cores = sorted(os.sched_getaffinity(0))
    if number > len(cores):
        raise UsageError(f"--cpu_workers={number}: only {len(cores)} core(s) may be used")
    bounds = [len(cores) * index // number for index in range(number + 1)]
    return [
        Slot(
            label=f"cpu {index}", kind="cpu", cores=tuple(cores[bounds[index] : bounds[index + 1]])
        )
        for index in range(number)
    ]
