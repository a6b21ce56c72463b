"""Splits a run's time by the log lines that upstream's script and af3opt share."""

import dataclasses
import re
from collections.abc import Iterable, Sequence

START_UP = "start-up"
DATA_PIPELINE = "data pipeline"
FEATURISATION = "featurisation"
INFERENCE = "inference"
COMPILATION = "compilation"
EXTRACTION = "extraction"
WRITING = "writing"
REST = "rest"

# In the order of a table. Compilation is part of inference, as in upstream's log.
STAGES = (START_UP, DATA_PIPELINE, FEATURISATION, INFERENCE, COMPILATION, EXTRACTION, WRITING, REST)

_SECONDS = r"(\d+(?:\.\d+)?) s(?:econds)?\b"
_TIMED = {
    DATA_PIPELINE: re.compile(rf"Running data pipeline took {_SECONDS}"),
    FEATURISATION: re.compile(rf"Featurising data with seed \d+ took {_SECONDS}"),
    INFERENCE: re.compile(rf"Running model inference with seed \d+ took {_SECONDS}"),
    EXTRACTION: re.compile(rf"Extracting \d+ inference samples with seed \d+ took {_SECONDS}"),
    WRITING: re.compile(rf"Writing outputs with \S+ \S+ took {_SECONDS}"),
}
# Where a script announces the end of a stage only by the beginning of what follows.
_SPANS = {
    DATA_PIPELINE: (
        re.compile(r"Running data pipeline\.\.\."),
        re.compile(r"Writing model input JSON"),
    ),
    WRITING: (re.compile(r"Writing outputs with .*\.\.\."), re.compile(r"Fold job .* done")),
}
# Tracing, lowering and compiling, or reading what was kept of them.
_COMPILED = re.compile(rf"Compiling the model took {_SECONDS}")
_MODEL_MADE = re.compile(r"Model for \d+ tokens: ")
_MODEL_STEP = re.compile(rf"(?:traced|lowered|compiled|loaded|compile cache) in {_SECONDS}")
_FIRST_INFERENCE = re.compile(r"Running model inference with seed \d+\.\.\.")


@dataclasses.dataclass(frozen=True, slots=True)
class TimedLine:
    """A line of a process's output and when it came, in seconds after the start."""

    seconds: float
    text: str


def split_stages(lines: Iterable[TimedLine], wall_seconds: float) -> dict[str, float]:
    """Adds up the seconds of each stage.

    Args:
        lines: What the process wrote.
        wall_seconds: From the start of the process to its end.

    Returns:
        Stage -> seconds, without stages that the output does not tell of. Start-up
        is everything before the first inference except the data pipeline and
        featurisation; the rest is what no line accounts for.
    """
    lines = list(lines)
    first = next((n for n, line in enumerate(lines) if _FIRST_INFERENCE.search(line.text)), None)
    stages = _add_up(lines)
    if first is not None:
        before = sum(_add_up(lines[: first + 1]).values())
        stages[START_UP] = max(0.0, lines[first].seconds - before)
        accounted = sum(seconds for stage, seconds in stages.items() if stage != COMPILATION)
        # Stages that overlap can add up to more than the whole.
        stages[REST] = max(0.0, wall_seconds - accounted)
    return {stage: stages[stage] for stage in STAGES if stage in stages}


def _add_up(lines: Sequence[TimedLine]) -> dict[str, float]:
    stages: dict[str, float] = {}
    patterns = [*_TIMED.items(), (COMPILATION, _COMPILED)]
    for line in lines:
        for stage, pattern in patterns:
            if match := pattern.search(line.text):
                stages[stage] = stages.get(stage, 0.0) + float(match[1])
        if made := _MODEL_MADE.search(line.text):
            steps = _MODEL_STEP.findall(line.text, made.end())
            stages[COMPILATION] = stages.get(COMPILATION, 0.0) + sum(map(float, steps))
    for stage, (begin, end) in _SPANS.items():
        if stage not in stages and (seconds := _span(lines, begin, end)):
            stages[stage] = seconds
    return stages


def _span(lines: Sequence[TimedLine], begin: re.Pattern[str], end: re.Pattern[str]) -> float:
    """Adds up the times between lines that begin a stage and lines that follow it."""
    total, since = 0.0, None
    for line in lines:
        if begin.search(line.text):
            since = line.seconds
        elif since is not None and end.search(line.text):
            total, since = total + line.seconds - since, None
    return total
