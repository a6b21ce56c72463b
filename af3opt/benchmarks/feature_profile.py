"""Where the time of one featurisation goes, in CPU seconds of the threads that spend it."""

import contextlib
import dataclasses
import functools
import threading
import time
from collections.abc import Iterator

from af3opt.engine.patching import ANYTHING, Patch, PatchSet, Target
from af3opt.engine.protocols import Argument, Descriptor, EngineFunction


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

    def timed(self, part: str, function: EngineFunction) -> EngineFunction:
        """Returns the function, its own time counted as that of a part."""

        @functools.wraps(function)
        def call(*arguments: Argument, **options: Argument) -> Argument:
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
    parts = {
        "RDKit's conformers": _own("components", "embed"),
        "rotating and placing conformers": _engines("random_augmentation"),
        "filling conformers in": _own("featurisation", "reference_features"),
        "order of the random stream": _own("featurisation", "draw_stream"),
        "residues, atoms and where they go": _own("featurisation", "make_plan"),
        "alignments": _engines("MSA.compute_features"),
        "templates": _engines("Templates.compute_features"),
        "the rest of the engine's pipeline": _own("featurisation", "SharedFeatures._run"),
        "digests of the input": _own("cache", "FeatureCache.key"),
        "packing and storing features": _own("cache", "FeatureCache.save"),
        "storing conformers": _own("conformers", "ConformerPool._keep"),
    }
    timers = [
        Patch[Profile](
            name=part,
            replacements=((target, functools.partial(_timed, part)),),
            after=frozenset({ANYTHING}),
        )
        for part, target in parts.items()
    ]
    with PatchSet(timers, profile, required=True):
        yield profile


def _own(module: str, qualname: str) -> Target:
    return Target(f"features.{module}", qualname, None, package="af3opt")


def _engines(qualname: str) -> Target:
    return Target("model.features", qualname, None)


def _timed(part: str, original: Descriptor, profile: Profile) -> Descriptor:
    if isinstance(original, classmethod):
        return classmethod(profile.timed(part, original.__func__))
    return profile.timed(part, original)
