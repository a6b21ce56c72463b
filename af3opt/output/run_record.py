"""The run record `<name>_af3opt.json`: how a job's results came about.

It answers, months later: which input, weights, engine and settings; which
optimisations and of which class; what was cached; how long and how much memory
each stage took; whether any value was not finite. The format is fixed by the JSON
Schema beside this module, `run_record.schema.json`.
"""

import dataclasses
import datetime
import functools
import importlib.resources
import json
import platform
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final, Literal

import msgspec

from af3opt.base.json_files import read_json, to_json
from af3opt.base.json_types import Json, JsonObject
from af3opt.base.version import __version__, deciding_versions
from af3opt.output.checked_files import UNCHECKED, CheckedFiles
from af3opt.scores.interface import InterfaceScores

FORMAT: Final = "af3opt-run-record/2"

_SECRET_NAME = re.compile(r"token|secret|passw|credential|api_?key|access_?key", re.IGNORECASE)
_URL_USER = re.compile(r"(?<=://)[^/@\s]+@")
_HIDDEN = "(hidden)"


@functools.cache
def package_versions() -> dict[str, str | None]:
    """Versions of af3opt, Python and what computes results; None if not installed."""
    return {
        "af3opt": __version__,
        "python": platform.python_version(),
        **deciding_versions(),
    }


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SettingRecord:
    """A setting and where its value came from ("flag", "default", ...)."""

    value: Json
    source: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class VariableRecord:
    """An environment variable the run was started with, and why."""

    name: str
    value: str
    reason: str
    origin: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class EngineRecord:
    """The engine; the fingerprint is over its files, the version is what it claims."""

    distribution: str | None
    version: str | None
    fingerprint: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class WeightsRecord:
    """The weights; `synthetic` ones predict nothing."""

    directory: str
    digest: str | None
    synthetic: bool


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class HostRecord:
    """The machine and the share of it the job had."""

    name: str
    cpu: str
    cores: int
    memory_limit_bytes: int | None
    memory_limit_source: str
    gpu: str | None
    slurm_job: str | None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class BackendRecord:
    """Where the model ran."""

    name: str
    device: str | None
    flash_attention: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class OptimizationRecord:
    """An optimisation: its class, and why it was not active if it was not."""

    name: str
    fidelity: str
    active: bool
    reason: str = ""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class StageRecord:
    """A stage, once for each time it was run.

    Attributes:
        name: Such as "featurise" or "inference".
        seed: The seed it was run for, None for the whole job.
        seconds: Wall time.
        host_peak_bytes: Peak resident memory of the process tree, if it was watched.
        device_peak_bytes: Peak memory of the device, None on a CPU.
    """

    name: str
    seed: int | None
    seconds: float
    host_peak_bytes: int | None = None
    device_peak_bytes: int | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class CacheRecord:
    """What a cache did for this job.

    `seconds_saved` is what the hits once took to make, as far as it is known: for features,
    and for programs from the executable store.
    """

    name: str
    hits: int
    misses: int
    seconds_saved: float


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SampleRecord:
    """One diffusion sample.

    Attributes:
        index: Its number.
        directory: Where its files are, relative to the job's directory.
        ranking_score: None when it is undefined or the sample is not ranked.
        ranked: Whether it takes part in the ranking.
        finite: Whether all its values are.
        has_clash: The engine's verdict, None if it was not computed.
        plausibility: Counts of implausible features, None if not checked.
        interface_scores: Scores of each pair of chains, None if they were not computed.
    """

    index: int
    directory: str
    ranking_score: float | None
    ranked: bool = True
    finite: bool = True
    has_clash: bool | None = None
    plausibility: Mapping[str, Json] | None = None
    interface_scores: InterfaceScores | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SeedRecord:
    """One seed.

    Attributes:
        seed: The seed.
        numerics: `SeedVerdict.as_record()` of the values that were kept.
        attempts: Computations: 2 when it was done again in safer numerics.
        safer_numerics: What was different in the second, or "".
        samples: Its samples.
        process: Identifier of the process that made it, see `ProcessRecord`; "" when that is
            not known.
    """

    seed: int
    numerics: Mapping[str, Json] | None
    attempts: int = 1
    safer_numerics: str = ""
    samples: Sequence[SampleRecord] = ()
    process: str = ""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class InputRecord:
    """The fold input and its size."""

    file: str
    digest: str
    tokens: int | None
    padded_tokens: int | None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RunFacts:
    """What the records of all jobs of a process have in common.

    Attributes:
        command: The command line.
        engine: The engine.
        weights: The weights, None without inference.
        host: The machine.
        backend: Where the model ran, None without inference.
        settings: All settings by name.
        environment: Variables planned for the run.
        optimizations: All that were considered.
    """

    command: Sequence[str]
    engine: EngineRecord
    weights: WeightsRecord | None
    host: HostRecord
    backend: BackendRecord | None
    settings: Mapping[str, SettingRecord]
    environment: Sequence[VariableRecord] = ()
    optimizations: Sequence[OptimizationRecord] = ()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ProcessRecord(RunFacts):
    """One process that worked on a job.

    Attributes:
        process: Its identifier.
        status: How the job was when it ended: "done", "failed", "incomplete" (stopped
            early) or "excluded_samples" (done, but some samples are not finite).
        reason: Why it failed, or "".
        started: When the process began the job, with time zone.
        ended: When the record was written.
        caches: Every cache that was asked.
        stages: Every stage that was run.
        versions: Versions by distribution, see `package_versions`.
    """

    process: str = ""
    status: str
    reason: str = ""
    started: datetime.datetime
    ended: datetime.datetime
    caches: Sequence[CacheRecord] = ()
    stages: Sequence[StageRecord] = ()
    versions: Mapping[str, str | None] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord(ProcessRecord):
    """Everything about one job: the process that wrote it last, and those before it.

    Attributes:
        format: The layout of the file. The first one had neither `process` nor `earlier`.
        name: The job's name as the user wrote it.
        input: The fold input.
        seeds: Every seed, those of earlier processes as far as they are known.
        earlier: The processes that worked on the job before this one, first to last.
    """

    format: Literal["af3opt-run-record/1", "af3opt-run-record/2"] = FORMAT
    name: str
    input: InputRecord
    seeds: Sequence[SeedRecord] = ()
    earlier: Sequence[ProcessRecord] = ()

    def as_json(self) -> JsonObject:
        """The record as plain JSON values, secrets hidden."""
        plain = _plain(self)
        plain["seconds"] = (self.ended - self.started).total_seconds()
        for process in (plain, *plain["earlier"]):
            process["command"] = [_hide_in_argument(argument) for argument in process["command"]]
            for variable in process["environment"]:
                variable["value"] = _hide(variable["name"], variable["value"])
            for name, setting in process["settings"].items():
                setting["value"] = _hide(name, setting["value"])
        return plain


def read_run_record(path: Path) -> RunRecord | None:
    """Reads a record of this or the first layout.

    Returns:
        The record; None when it is missing, damaged or of another format.
    """
    return read_json(path, RunRecord)


def record_path(job_directory: Path, name: str) -> Path:
    """Where the record of a job lies; `name` is the job's sanitised name."""
    return job_directory / f"{name}_af3opt.json"


def write_run_record(record: RunRecord, path: Path, files: CheckedFiles = UNCHECKED) -> None:
    """Writes a record, complete or not at all.

    Args:
        record: The record.
        path: See `record_path`.
        files: Writes it.

    Raises:
        OSError: it cannot be written.
    """
    files.write(path, to_json(record.as_json()))


def load_schema() -> JsonObject:
    """The record's JSON Schema (draft 2020-12)."""
    file = importlib.resources.files("af3opt.output") / "run_record.schema.json"
    schema: JsonObject = json.loads(file.read_text(encoding="utf-8"))
    return schema


def settings_record(
    settings: Mapping[str, Json], sources: Mapping[str, str]
) -> dict[str, SettingRecord]:
    """Joins values and sources by option name; an option without a source is a default."""
    return {
        name: SettingRecord(value=value, source=sources.get(name, "default"))
        for name, value in settings.items()
    }


def _plain(record: RunRecord) -> JsonObject:
    """Turns a record into what JSON has; numbers that are not finite become null."""
    plain = msgspec.json.decode(msgspec.json.encode(record, enc_hook=_as_text_or_list))
    return {"format": plain["format"], "name": plain["name"], **plain}


def _as_text_or_list(value: object) -> Json:
    """What JSON has not: any collection becomes a list, a path and all else its text."""
    if isinstance(value, Mapping):
        return {str(key): item for key, item in value.items()}
    return list(value) if isinstance(value, Iterable) else str(value)


def _hide(name: str, value: Json) -> Json:
    if value and _SECRET_NAME.search(name):
        return _HIDDEN
    return _URL_USER.sub(f"{_HIDDEN}@", value) if isinstance(value, str) else value


def _hide_in_argument(argument: str) -> str:
    flag, equals, value = argument.partition("=")
    return flag + equals + str(_hide(flag, value)) if equals else str(_hide("", argument))
