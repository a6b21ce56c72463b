"""How long stages took on this kind of machine before, for the time left."""

import contextlib
import dataclasses
import json
import threading
from pathlib import Path

from af3opt.base.atomic import atomic_write_text
from af3opt.base.checked_json import parse_object
from af3opt.base.errors import SetupError
from af3opt.base.foreign_files import read_private
from af3opt.base.paths import af3opt_home, private_directory

# Weight of the newest run in the running average: old enough to forget a slow node.
_NEWEST = 0.3
# Between measured sizes, time is taken to grow with this power of the token count:
# the pair representation has tokens^2 entries, the triangle updates do tokens^3 work.
_GROWTH = 2.5
_MOST_BYTES = 1 << 24


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
        self._seconds: dict[str, dict[int, float]] = {}
        with contextlib.suppress(OSError, ValueError, TypeError, AttributeError, OverflowError):
            for family, sizes in parse_object(read_private(self._path, _MOST_BYTES)).items():
                known = {int(tokens): float(seconds) for tokens, seconds in sizes.items()}
                # A size or a time of 0 or less was never measured.
                self._seconds[family] = {
                    tokens: seconds for tokens, seconds in known.items() if min(tokens, seconds) > 0
                }

    def devices(self, stage: str) -> tuple[str, ...]:
        """Kinds of device on which a stage was ever timed."""
        with self._lock:
            families = [family.split("|") for family in self._seconds]
        return tuple(sorted({parts[1] for parts in families if parts[0] == stage}))

    def estimate(self, stage: str, workload: Workload) -> float | None:
        """Seconds the stage should take; None when nothing like it was ever run."""
        with self._lock:
            sizes = self._seconds.get(workload.family(stage), {})
            if not sizes:
                return None
            nearest = min(sizes, key=lambda tokens: abs(tokens - workload.tokens))
            scale: float = (workload.tokens / nearest) ** _GROWTH
            return sizes[nearest] * scale

    def learn(self, stage: str, workload: Workload, seconds: float) -> None:
        """Takes a run into the average."""
        with self._lock:
            sizes = self._seconds.setdefault(workload.family(stage), {})
            known = sizes.get(workload.tokens)
            sizes[workload.tokens] = (
                seconds if known is None else known + _NEWEST * (seconds - known)
            )

    def save(self) -> None:
        """Writes the averages; a read-only home is no reason to fail a job."""
        with self._lock:
            text = json.dumps(self._seconds, indent=1, sort_keys=True)
        with contextlib.suppress(OSError, SetupError):
            private_directory(self._path.parent)
            atomic_write_text(self._path, text + "\n", mode=0o600)
