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
import math
import platform
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from af3opt.base.atomic import atomic_write_text
from af3opt.base.json_types import Json, JsonObject
from af3opt.base.version import DECIDING, __version__, installed_version

FORMAT = "af3opt-run-record/1"

_SECRET_NAME = re.compile(r"token|secret|passw|credential|api_?key|access_?key", re.IGNORECASE)
_URL_USER = re.compile(r"(?<=://)[^/@\s]+@")
_HIDDEN = "(hidden)"


@functools.cache
def package_versions() -> dict[str, str | None]:
    """Versions of af3opt, Python and what computes results; None if not installed."""
    return {
        "af3opt": __version__,
        "python": platform.python_version(),
        **{name: installed_version(name) for name in DECIDING},
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
    """

    index: int
    directory: str
    ranking_score: float | None
    ranked: bool = True
    finite: bool = True
    has_clash: bool | None = None
    plausibility: Mapping[str, Json] | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SeedRecord:
    """One seed.

    Attributes:
        seed: The seed.
        numerics: `SeedVerdict.as_record()` of the values that were kept.
        attempts: Computations: 2 when it was done again in safer numerics.
        safer_numerics: What was different in the second, or "".
        samples: Its samples.
    """

    seed: int
    numerics: Mapping[str, Json] | None
    attempts: int = 1
    safer_numerics: str = ""
    samples: Sequence[SampleRecord] = ()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class InputRecord:
    """The fold input and its size."""

    file: str
    digest: str
    tokens: int | None
    padded_tokens: int | None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """Everything about one job; see the classes of the parts.

    Attributes:
        name: The job's name as the user wrote it.
        status: "done", "failed", "incomplete" (stopped early) or
            "excluded_samples" (done, but some samples are not finite).
        reason: Why it failed, or "".
        command: The command line.
        started: When the job began, with time zone.
        ended: When the record was written.
        input: The fold input.
        engine: The engine.
        weights: The weights, None without inference.
        host: The machine.
        backend: Where the model ran, None without inference.
        settings: All settings by name.
        environment: Variables planned for the run.
        optimizations: All that were considered.
        caches: Every cache that was asked.
        stages: Every stage that was run.
        seeds: Every seed, those of earlier runs as far as they are known.
        versions: Versions by distribution, see `package_versions`.
    """

    name: str
    status: str
    reason: str = ""
    command: Sequence[str]
    started: datetime.datetime
    ended: datetime.datetime
    input: InputRecord
    engine: EngineRecord
    weights: WeightsRecord | None
    host: HostRecord
    backend: BackendRecord | None
    settings: Mapping[str, SettingRecord]
    environment: Sequence[VariableRecord] = ()
    optimizations: Sequence[OptimizationRecord] = ()
    caches: Sequence[CacheRecord] = ()
    stages: Sequence[StageRecord] = ()
    seeds: Sequence[SeedRecord] = ()
    versions: Mapping[str, str | None] = dataclasses.field(default_factory=package_versions)

    def as_json(self) -> JsonObject:
        """The record as plain JSON values, secrets hidden."""
        plain: JsonObject = {"format": FORMAT} | _plain(dataclasses.asdict(self))
        plain["seconds"] = (self.ended - self.started).total_seconds()
        plain["command"] = [_hide_in_argument(argument) for argument in plain["command"]]
        for variable in plain["environment"]:
            variable["value"] = _hide(variable["name"], variable["value"])
        for name, setting in plain["settings"].items():
            setting["value"] = _hide(name, setting["value"])
        return plain


def record_path(job_directory: Path, name: str) -> Path:
    """Where the record of a job lies; `name` is the job's sanitised name."""
    return job_directory / f"{name}_af3opt.json"


def write_run_record(record: RunRecord, path: Path) -> None:
    """Writes a record, complete or not at all.

    Args:
        record: The record.
        path: See `record_path`.

    Raises:
        OSError: it cannot be written.
    """
    text = json.dumps(record.as_json(), indent=1, allow_nan=False, ensure_ascii=False)
    atomic_write_text(path, text + "\n")


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


def _plain(value: Json) -> Json:
    """Turns a value into what JSON has; numbers that are not finite become null."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, str | int):
        return value
    if isinstance(value, datetime.datetime):
        return value.isoformat(timespec="seconds")
    if isinstance(value, Iterable):
        return [_plain(item) for item in value]
    return str(value)


def _hide(name: str, value: Json) -> Json:
    if value and _SECRET_NAME.search(name):
        return _HIDDEN
    return _URL_USER.sub(f"{_HIDDEN}@", value) if isinstance(value, str) else value


def _hide_in_argument(argument: str) -> str:
    flag, equals, value = argument.partition("=")
    return flag + equals + str(_hide(flag, value)) if equals else str(_hide("", argument))
