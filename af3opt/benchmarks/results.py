"""The results of a suite: their form on disk, medians, spreads and ratios."""

import dataclasses
import json
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path

from af3opt.base.atomic import atomic_write_text
from af3opt.base.errors import InputError
from af3opt.base.json_types import Json

FORMAT = "af3opt benchmark 1"
BASELINE = "baseline"
COLD = "af3opt, cold"
WARM = "af3opt, warm"
ROLES = (BASELINE, COLD, WARM)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One process.

    Attributes:
        role: BASELINE, COLD (all caches empty) or WARM (the same command again).
        repeat: Which repeat it belongs to, from 0.
        wall_seconds: Wall time.
        cpu_seconds: CPU time.
        peak_bytes: Peak resident memory of its largest process.
        stages: Stage -> seconds.
    """

    role: str
    repeat: int
    wall_seconds: float
    cpu_seconds: float
    peak_bytes: int
    stages: Mapping[str, float]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class CaseResult:
    """All runs of a case, with the commands that made them."""

    name: str
    description: str
    commands: Mapping[str, str]
    runs: Sequence[Run]

    def of(self, role: str) -> list[Run]:
        """The runs of a role, in the order of the repeats."""
        return [run for run in self.runs if run.role == role]

    def median_wall(self, role: str) -> float:
        """Median wall time in seconds."""
        return statistics.median(run.wall_seconds for run in self.of(role))

    def spread(self, role: str) -> float:
        """Half the range of the wall times, as a share of their median."""
        times = [run.wall_seconds for run in self.of(role)]
        return (max(times) - min(times)) / 2 / statistics.median(times)

    def peak(self, role: str) -> int:
        """Largest peak memory in bytes."""
        return max(run.peak_bytes for run in self.of(role))

    def median_stage(self, role: str, stage: str) -> float | None:
        """Median seconds of a stage; None if a run does not tell."""
        times = [run.stages.get(stage) for run in self.of(role)]
        known = [seconds for seconds in times if seconds is not None]
        return statistics.median(known) if known else None

    def ratios(self, role: str) -> list[float]:
        """Baseline's wall time by that of `role`, for each pair of one repeat."""
        baselines = {run.repeat: run.wall_seconds for run in self.of(BASELINE)}
        return [baselines[run.repeat] / run.wall_seconds for run in self.of(role)]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SuiteResult:
    """Everything that `af3opt bench` found out.

    Attributes:
        suite: Name of the suite.
        command: The command that made it.
        started: Date and time, ISO 8601.
        host: See `describe.describe_host`.
        baseline: Engine, versions and label of the baseline.
        subject: The same of af3opt.
        weights: What kind of weights both used.
        overrides: What these weights change in the model's configuration (dotted path ->
            value); empty for the whole model.
        backend: "cpu" or "gpu".
        cases: The results.
    """

    suite: str
    command: str
    started: str
    host: Mapping[str, Json]
    baseline: Mapping[str, Json]
    subject: Mapping[str, Json]
    weights: str
    overrides: Mapping[str, int]
    backend: str
    cases: Sequence[CaseResult]


def write_result(result: SuiteResult, path: Path) -> None:
    """Writes a result as JSON."""
    content = {"format": FORMAT, **dataclasses.asdict(result)}
    atomic_write_text(path, json.dumps(content, indent=1) + "\n")


def read_result(path: Path) -> SuiteResult:
    """Reads a result back.

    Raises:
        InputError: the file is not one of `write_result`.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content.pop("format") != FORMAT:
            raise ValueError("another format")
        cases = [
            CaseResult(**{**case, "runs": [Run(**run) for run in case["runs"]]})
            for case in content.pop("cases")
        ]
        return SuiteResult(cases=cases, **content)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path}: not a result of af3opt bench ({error})") from error
