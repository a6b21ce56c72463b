"""Where the time of one featurisation goes, in CPU seconds of the threads that spend it."""

import contextlib
import dataclasses
import functools
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from af3opt.engine.modules import engine_module
from af3opt.features import components, conformers, featurisation
from af3opt.features.cache import FeatureCache


@dataclasses.dataclass
class Profile:
    """CPU seconds by part; a part does not count what another part does for it.

    Attributes:
        seconds: Part -> CPU seconds of all threads.
        calls: Part -> how often it was called.
    """

    seconds: dict[str, float] = dataclasses.field(default_factory=dict)
    calls: dict[str, int] = dataclasses.field(default_factory=dict)
    _lock: threading.Lock = dataclasses.field(default_factory=threading.Lock)
    _inner: threading.local = dataclasses.field(default_factory=threading.local)

    def timed(self, part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Returns the function, its own time counted as that of a part."""

        @functools.wraps(function)  # Recognised by its source still.
        def call(*arguments: Any, **options: Any) -> Any:
            outer = getattr(self._inner, "seconds", 0.0)
            self._inner.seconds = 0.0
            start = time.thread_time()
            try:
                return function(*arguments, **options)
            finally:
                whole = time.thread_time() - start
                self._add(part, whole - self._inner.seconds)
                self._inner.seconds = outer + whole

        return call

    def _add(self, part: str, seconds: float) -> None:
        with self._lock:
            self.seconds[part] = self.seconds.get(part, 0.0) + seconds
            self.calls[part] = self.calls.get(part, 0) + 1


@contextlib.contextmanager
def profiled() -> Iterator[Profile]:
    """Times the parts of featurisation inside the block."""
    profile = Profile()
    model_features = engine_module("model.features")
    parts = (
        ("RDKit's conformers", components, "embed"),
        ("rotating and placing conformers", model_features, "random_augmentation"),
        ("filling conformers in", featurisation, "reference_features"),
        ("order of the random stream", featurisation, "draw_stream"),
        ("residues, atoms and where they go", featurisation, "make_plan"),
        ("alignments", model_features.MSA, "compute_features"),
        ("templates", model_features.Templates, "compute_features"),
        ("the rest of the engine's pipeline", featurisation.SharedFeatures, "_run"),
        ("digests of the input", FeatureCache, "key"),
        ("packing and storing features", FeatureCache, "save"),
        ("storing conformers", conformers.ConformerPool, "_keep"),
    )
    with contextlib.ExitStack() as restore:
        for part, owner, name in parts:
            original = vars(owner)[name]
            restore.callback(setattr, owner, name, original)
            setattr(owner, name, _timed(profile, part, original))
        yield profile


def _timed(profile: Profile, part: str, original: Any) -> Any:
    if isinstance(original, classmethod):
        return classmethod(profile.timed(part, original.__func__))
    return profile.timed(part, original)
