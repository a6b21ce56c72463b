"""How long stages took on this kind of machine before, for the time left."""

import contextlib
import dataclasses
import threading
from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta

from af3opt.base.errors import SetupError
from af3opt.base.json_files import read_json, write_json
from af3opt.base.paths import af3opt_home, private_directory
from af3opt.progress.growth import model_work, seconds_for
from af3opt.progress.stages import DATA_PIPELINE, EXTRACT, FEATURISE, WRITE

# Weight of the newest run in the running average: old enough to forget a slow node.
_NEWEST = 0.3
# Stages that grow otherwise than the model: with the tokens, or with pairs of them.
_BY_TOKENS = frozenset({DATA_PIPELINE.name, FEATURISE.name})
_BY_PAIRS = frozenset({EXTRACT.name, WRITE.name})

# A size or a time of 0 or less was never measured.
_Measured = Annotated[float, Meta(gt=0)]
_LEAST_SECONDS = 1e-6
_Tokens = Annotated[int, Meta(ge=1)]


@dataclasses.dataclass(frozen=True, slots=True)
class Workload:
    """What decides how long the model runs.

    Attributes:
        device: Kind of device, such as "cpu Intel Xeon 8480 x2".
        tokens: Padded tokens.
        samples: Diffusion samples.
        recycles: Recycles.
        steps: Diffusion steps.
    """

    device: str
    tokens: int
    samples: int
    recycles: int
    steps: int

    def family(self, stage: str) -> str:
        """Everything but the size, as a key."""
        return f"{stage}|{self.device}|{self.samples}|{self.recycles}|{self.steps}"

    def work(self, stage: str, tokens: int) -> float:
        """Work of a stage for this many tokens, in a unit of the stage's own.

        It is the model's, except for stages of which only a progress bar depends: features
        grow with the tokens, what is made of results with their pairs.
        """
        if stage in _BY_TOKENS:
            return float(tokens)
        if stage in _BY_PAIRS:
            return float(tokens) ** 2
        return model_work(tokens, self.samples, self.recycles, self.steps)


@dataclasses.dataclass(frozen=True, slots=True)
class _Times:
    """What a stage of one size took.

    Attributes:
        seconds: Running average of what each run takes.
        once: Running average of what the first run of a process takes besides: compiling.
        runs: How many runs were measured; 0 for times of files of the first layout, which
            do not tell the two apart.
    """

    seconds: _Measured
    once: Annotated[float, Meta(ge=0)] = 0.0
    runs: int = 0


@dataclasses.dataclass(frozen=True, slots=True)
class _File:
    families: dict[str, dict[_Tokens, _Times]]
    format: Literal["af3opt-times/2"]


# The first layout: family -> tokens -> seconds, compiling included.
_FirstLayout = dict[str, dict[_Tokens, _Measured]]


class LearnedTimes:
    """Running averages of stage times by workload, kept between runs.

    Several processes may learn at once; the last one to save wins, which costs a
    little precision and nothing else.
    """

    def __init__(self, path: Path | None = None) -> None:
        """Reads what is known.

        Args:
            path: The file; default `times.json` under `af3opt_home()`. A missing or
                damaged one is an empty one.
        """
        self._path = path or af3opt_home() / "times.json"
        self._lock = threading.Lock()
        self._families = _read(self._path)

    def devices(self, stage: str) -> tuple[str, ...]:
        """Kinds of device on which a stage was ever timed."""
        with self._lock:
            families = [family.split("|") for family in self._families]
        return tuple(sorted({parts[1] for parts in families if parts[0] == stage}))

    def estimate(self, stage: str, workload: Workload) -> float | None:
        """Seconds the stage should take, compiling not included.

        Args:
            stage: Name of the stage.
            workload: What it works on.

        Returns:
            The average of this size; what follows from other sizes by `growth`; None when
            nothing like it was ever run.
        """
        sizes = self._sizes(stage, workload)
        if not sizes:
            return None
        measured = {workload.work(stage, size): times.seconds for size, times in sizes.items()}
        return seconds_for(workload.work(stage, workload.tokens), measured)

    def once(self, stage: str, workload: Workload) -> float | None:
        """Seconds that the first run in a process takes besides; None when nothing is known.

        They hardly depend on the size, so the nearest one counts.
        """
        sizes = self._sizes(stage, workload)
        measured = [size for size, times in sizes.items() if times.runs]
        if not measured:
            return None
        return sizes[min(measured, key=lambda size: abs(size - workload.tokens))].once

    def at_least(self, stage: str, workload: Workload) -> float:
        """Seconds that the stage takes for certain, 0 when nothing is.

        A measured size takes what it took; a larger one, no less. Nothing else is used.
        """
        sizes = self._sizes(stage, workload)
        return max(
            (
                times.seconds
                for size, times in sizes.items()
                if times.runs and size <= workload.tokens
            ),
            default=0.0,
        )

    def learn(self, stage: str, workload: Workload, seconds: float, once: float = 0.0) -> None:
        """Takes a run into the average.

        Args:
            stage: Name of the stage.
            workload: What it worked on.
            seconds: What any run takes.
            once: What it took besides because it was a first one; 0 leaves the average.
        """
        seconds, once = max(seconds, _LEAST_SECONDS), max(once, 0.0)
        with self._lock:
            sizes = self._families.setdefault(workload.family(stage), {})
            known = sizes.get(workload.tokens)
            if known is None or not known.runs:
                sizes[workload.tokens] = _Times(seconds, once, 1)
                return
            sizes[workload.tokens] = _Times(
                _average(known.seconds, seconds),
                _average(known.once, once) if known.once and once else once or known.once,
                known.runs + 1,
            )

    def save(self) -> None:
        """Writes the averages; a read-only home is no reason to fail a job."""
        with self._lock:
            families = {key: dict(sizes) for key, sizes in self._families.items()}
        content = _File(families, "af3opt-times/2")
        with contextlib.suppress(OSError, SetupError):
            private_directory(self._path.parent)
            write_json(self._path, content, mode=0o600)

    def _sizes(self, stage: str, workload: Workload) -> dict[int, _Times]:
        with self._lock:
            return dict(self._families.get(workload.family(stage), {}))


def _read(path: Path) -> dict[str, dict[int, _Times]]:
    content = read_json(path, _File, private=True)
    if content is not None:
        return content.families
    first = read_json(path, _FirstLayout, private=True) or {}
    return {
        family: {tokens: _Times(seconds) for tokens, seconds in sizes.items()}
        for family, sizes in first.items()
    }


def _average(known: float, newest: float) -> float:
    return known + _NEWEST * (newest - known)
