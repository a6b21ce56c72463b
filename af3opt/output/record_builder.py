"""Collects a job's run record while the job runs, and writes it after every seed.

A job may be done in several processes (resume); seeds of earlier ones are taken over
from the record they left.
"""

import contextlib
import dataclasses
import datetime
import json
import threading
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from af3opt.base.json_types import JsonObject
from af3opt.output.run_record import (
    FORMAT,
    BackendRecord,
    CacheRecord,
    EngineRecord,
    HostRecord,
    InputRecord,
    OptimizationRecord,
    RunRecord,
    SampleRecord,
    SeedRecord,
    SettingRecord,
    StageRecord,
    VariableRecord,
    WeightsRecord,
    write_run_record,
)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RunFacts:
    """What the records of all jobs of a process have in common; see `RunRecord`."""

    command: Sequence[str]
    engine: EngineRecord
    weights: WeightsRecord | None
    host: HostRecord
    backend: BackendRecord | None
    settings: Mapping[str, SettingRecord]
    environment: Sequence[VariableRecord] = ()
    optimizations: Sequence[OptimizationRecord] = ()


class RecordBuilder:
    """The record of one job in the making."""

    def __init__(self, facts: RunFacts, *, name: str, job_input: InputRecord) -> None:
        """Begins the record.

        Args:
            facts: What is common to the run.
            name: The job's name as the user wrote it.
            job_input: Its input; `set_tokens` adds the size when it is known.
        """
        self._facts = facts
        self._name = name
        self._input = job_input
        self._started = _now()
        self._seeds: dict[int, SeedRecord] = {}
        self._lock = threading.Lock()

    def set_tokens(self, tokens: int, padded_tokens: int) -> None:
        """Notes the size of the input, with and without padding."""
        with self._lock:
            self._input = dataclasses.replace(
                self._input, tokens=tokens, padded_tokens=padded_tokens
            )

    def take_over(self, path: Path, seeds: Collection[int]) -> None:
        """Takes seeds that an earlier process finished from the record it left.

        Args:
            path: That record; missing, damaged or of another format means that
                nothing is known of those seeds.
            seeds: The seeds that are finished.
        """
        with self._lock:
            for seed in _seeds_of(path):
                if seed.seed in seeds:
                    self._seeds.setdefault(seed.seed, seed)

    def add_seed(self, seed: SeedRecord) -> None:
        """Notes a seed that is finished."""
        with self._lock:
            self._seeds[seed.seed] = seed

    def write(
        self,
        path: Path,
        *,
        status: str,
        reason: str = "",
        stages: Sequence[StageRecord] = (),
        caches: Sequence[CacheRecord] = (),
    ) -> None:
        """Writes what is known now.

        Args:
            path: See `run_record.record_path`.
            status: "done", "failed" or "incomplete". A job that is done with samples
                set apart is recorded as "excluded_samples".
            reason: Why it failed.
            stages: See `JobReport.stage_records`.
            caches: See `JobReport.cache_records`.

        Raises:
            OSError: the record cannot be written.
        """
        with self._lock:
            seeds = list(self._seeds.values())
            job_input = self._input
        if status == "done" and any(not s.finite for seed in seeds for s in seed.samples):
            status = "excluded_samples"
        facts = {f.name: getattr(self._facts, f.name) for f in dataclasses.fields(self._facts)}
        record = RunRecord(
            name=self._name,
            status=status,
            reason=reason,
            started=self._started,
            ended=_now(),
            input=job_input,
            stages=stages,
            caches=caches,
            seeds=seeds,
            **facts,
        )
        write_run_record(record, path)


def _seeds_of(path: Path) -> list[SeedRecord]:
    content: JsonObject = {}
    with contextlib.suppress(OSError, ValueError):
        content = json.loads(path.read_bytes())
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        return []
    try:
        return [
            SeedRecord(**seed | {"samples": [SampleRecord(**item) for item in seed["samples"]]})
            for seed in content["seeds"]
        ]
    except (KeyError, TypeError):
        return []


def _now() -> datetime.datetime:
    return datetime.datetime.now().astimezone()
