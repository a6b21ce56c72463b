"""Turns what the run knows of itself into the parts of its record."""

import dataclasses
from collections.abc import Iterable
from typing import Protocol

from af3opt.engine.protocols import Device, InferenceResult
from af3opt.environment.backend import Backend
from af3opt.environment.environment import Variable
from af3opt.host.host import Host
from af3opt.numerics.checked import CheckedResult
from af3opt.numerics.plausibility import check_plausibility
from af3opt.output.run_record import (
    BackendRecord,
    EngineRecord,
    HostRecord,
    SampleRecord,
    SeedRecord,
    SettingRecord,
    VariableRecord,
    settings_record,
)
from af3opt.scores.interface import InterfaceScores
from af3opt.settings.settings import Settings

# How the run was told what to do, not what it does.
_NOT_RECORDED = frozenset({"sources", "preset_environment", "print_settings", "print_env"})


class EngineFacts(Protocol):
    """What is recorded of the engine; `engine.discovery.EngineInfo` has it."""

    @property
    def distribution(self) -> str | None:
        """Name of the installed distribution."""

    @property
    def version(self) -> str | None:
        """The version it claims."""

    @property
    def fingerprint(self) -> str:
        """Digest of its files."""


def all_settings(settings: Settings) -> dict[str, SettingRecord]:
    """Every option with its value and where that came from."""
    values = {
        field.name: getattr(settings, field.name)
        for field in dataclasses.fields(settings)
        if field.name not in _NOT_RECORDED
    }
    return settings_record(values, settings.sources)


def engine_record(engine: EngineFacts) -> EngineRecord:
    """The engine that was found."""
    return EngineRecord(
        distribution=engine.distribution, version=engine.version, fingerprint=engine.fingerprint
    )


def host_record(host: Host, backend: Backend) -> HostRecord:
    """The machine, with the GPU that was used."""
    gpu = backend.gpu
    return HostRecord(
        name=host.name,
        cpu=host.cpu.model,
        cores=host.cpu.usable_cores,
        memory_limit_bytes=host.memory.limit_bytes,
        memory_limit_source=host.memory.source,
        gpu=f"{gpu.name} (driver {gpu.driver_version})" if gpu else None,
        slurm_job=host.job.job_id if host.job and host.job.scheduler == "slurm" else None,
    )


def backend_record(backend: Backend, device: Device) -> BackendRecord:
    """Where the model ran; `device` is the JAX device, or None."""
    return BackendRecord(
        name=backend.name,
        device=None if device is None else str(device),
        flash_attention=backend.flash_attention,
    )


def environment_record(variables: Iterable[Variable]) -> list[VariableRecord]:
    """The variables that were planned; nothing else of the environment."""
    return [
        VariableRecord(
            name=variable.name,
            value=variable.value,
            reason=variable.reason,
            origin=variable.origin,
        )
        for variable in variables
    ]


def ranked_sample_record(
    index: int,
    directory: str,
    sample: InferenceResult,
    interface_scores: InterfaceScores | None = None,
) -> SampleRecord:
    """A sample the engine extracted, with its plausibility.

    Args:
        index: Its number.
        directory: Its directory, relative to the job's.
        sample: The engine's result object.
        interface_scores: Scores of its interfaces, None if they were not computed.
    """
    found = check_plausibility(sample.predicted_structure)
    return SampleRecord(
        index=index,
        directory=directory,
        ranking_score=float(sample.metadata["ranking_score"]),
        has_clash=bool(sample.metadata["has_clash"]),
        plausibility=dataclasses.asdict(found),
        interface_scores=interface_scores,
    )


def nonfinite_sample_record(index: int, directory: str) -> SampleRecord:
    """A sample that was set apart or marked."""
    return SampleRecord(
        index=index, directory=directory, ranking_score=None, ranked=False, finite=False
    )


def seed_record(checked: CheckedResult, samples: Iterable[SampleRecord]) -> SeedRecord:
    """A seed that was computed now.

    Args:
        checked: Its checked result.
        samples: Its samples in any order.
    """
    return SeedRecord(
        seed=checked.verdict.seed,
        numerics=checked.verdict.as_record(),
        attempts=checked.attempts,
        safer_numerics=checked.safer_numerics,
        samples=sorted(samples, key=lambda sample: sample.index),
    )
