"""Collects a job's run record while the job runs, and writes it after every seed.

A job may be done in several processes (resume); what the record says of earlier ones and
of their seeds is taken over, so each seed keeps the process that made it.
"""

import dataclasses
import datetime
import os
import secrets
import threading
from collections.abc import Collection, Sequence
from pathlib import Path

from af3opt.output.checked_files import UNCHECKED, CheckedFiles
from af3opt.output.run_record import (
    CacheRecord,
    InputRecord,
    ProcessRecord,
    RunFacts,
    RunRecord,
    SeedRecord,
    StageRecord,
    package_versions,
    read_run_record,
    write_run_record,
)


class RecordBuilder:
    """The record of one job in the making."""

    def __init__(
        self,
        facts: RunFacts,
        *,
        name: str,
        job_input: InputRecord,
        files: CheckedFiles = UNCHECKED,
    ) -> None:
        """Begins the record.

        Args:
            facts: What is common to the run.
            name: The job's name as the user wrote it.
            job_input: Its input; `set_tokens` adds the size when it is known.
            files: Writes the record.
        """
        self._facts = facts
        self._name = name
        self._input = job_input
        self._files = files
        self._started = _now()
        # Nobody else has it, on this host or another, now or after a restart.
        self._process = f"{os.getpid()}-{secrets.token_hex(4)}"
        self._seeds: dict[int, SeedRecord] = {}
        self._earlier_seeds: dict[int, SeedRecord] = {}
        self._earlier: tuple[ProcessRecord, ...] = ()
        self._lock = threading.Lock()

    def set_tokens(self, tokens: int, padded_tokens: int) -> None:
        """Notes the size of the input, with and without padding."""
        with self._lock:
            self._input = dataclasses.replace(
                self._input, tokens=tokens, padded_tokens=padded_tokens
            )

    def take_over(self, path: Path, seeds: Collection[int] | None = None) -> None:
        """Takes earlier processes, and seeds that they finished, from the record they left.

        Args:
            path: That record; missing, damaged or of another format means that
                nothing is known of them.
            seeds: The seeds that are finished; None for all that the record names.
        """
        record = read_run_record(path)
        if record is None or record.process == self._process:
            return
        name = record.process or f"before {record.ended.isoformat(timespec='seconds')}"
        parts = {f.name: getattr(record, f.name) for f in dataclasses.fields(ProcessRecord)}
        last = ProcessRecord(**parts | {"process": name})
        with self._lock:
            self._earlier = (*record.earlier, last)
            self._earlier_seeds = {
                seed.seed: seed if record.process else dataclasses.replace(seed, process=name)
                for seed in record.seeds
                if seeds is None or seed.seed in seeds
            }

    def keep_seeds(self, seeds: Collection[int]) -> None:
        """Forgets the seeds of earlier processes that are not among these."""
        with self._lock:
            self._earlier_seeds = {
                number: seed for number, seed in self._earlier_seeds.items() if number in seeds
            }

    def add_seed(self, seed: SeedRecord) -> None:
        """Notes a seed that this process has finished."""
        with self._lock:
            self._seeds[seed.seed] = dataclasses.replace(seed, process=self._process)

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
            seeds = list((self._earlier_seeds | self._seeds).values())
            job_input, earlier = self._input, self._earlier
        if status == "done" and any(not s.finite for seed in seeds for s in seed.samples):
            status = "excluded_samples"
        facts = {f.name: getattr(self._facts, f.name) for f in dataclasses.fields(self._facts)}
        record = RunRecord(
            name=self._name,
            process=self._process,
            status=status,
            reason=reason,
            started=self._started,
            ended=_now(),
            input=job_input,
            stages=stages,
            caches=caches,
            seeds=seeds,
            earlier=earlier,
            versions=package_versions(),
            **facts,
        )
        write_run_record(record, path, self._files)


def _now() -> datetime.datetime:
    return datetime.datetime.now().astimezone()
