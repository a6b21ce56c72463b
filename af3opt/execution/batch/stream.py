"""Featurise, run, write: three stages over a stream of seeds, in order or overlapped.

Overlapped, while seed k runs on the device, the seeds after it (of this job or the
next) are featurised and seed k-1 is written. Seeds are begun, run and written in the
order of the stream, each by one thread; only featurising, which has no effects
outside its seed, is done for several seeds at once where there are threads for it.
No more than one seed a thread is ahead of the device, so that few seeds' arrays are
in memory and few jobs are claimed before their time.

The model runs in the calling thread; the other stages mostly wait for C++ code that
releases the interpreter lock. On a CPU backend the stages would compete for the same
cores, so there they take turns.
"""

import collections
import dataclasses
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor


@dataclasses.dataclass(frozen=True)
class Stages[Unit, Ready, Result]:
    """The stages of a stream.

    Attributes:
        units: What to do; pulling one does what must be done in order before it is
            featurised: opening its job, searching.
        featurise: Makes a unit ready; called by several threads.
        infer: Runs the model; None means the seed failed and was dealt with.
        write: Writes the result.
    """

    units: Iterator[Unit]
    featurise: Callable[[Unit], Ready]
    infer: Callable[[Ready], Result | None]
    write: Callable[[Result], None]

    def run_in_turn(self) -> None:
        """Takes each seed through all stages before the next."""
        for unit in self.units:
            result = self.infer(self.featurise(unit))
            if result is not None:
                self.write(result)

    def run_overlapped(self, threads: int = 1) -> None:
        """Same as `run_in_turn`, with the stages of neighbouring seeds overlapped.

        An exception that a stage lets out ends the stream: what has begun is completed
        first, then the exception is raised here.

        Args:
            threads: Seeds that are featurised at once, and ahead of the device.
        """
        with (
            ThreadPoolExecutor(1, "write") as writer,
            ThreadPoolExecutor(threads, "featurise") as featuriser,
            ThreadPoolExecutor(1, "begin") as beginner,
        ):
            ahead: collections.deque[Future[Future[Ready] | None]] = collections.deque()

            def begin() -> Future[Ready] | None:
                unit = next(self.units, None)
                if unit is None:
                    return None
                return featuriser.submit(self.featurise, unit)

            def begin_another() -> None:
                ahead.append(beginner.submit(begin))

            for _ in range(threads):
                begin_another()
            writing: collections.deque[Future[None]] = collections.deque()
            try:
                while (featurising := ahead.popleft().result()) is not None:
                    ready = featurising.result()
                    begin_another()
                    result = self.infer(ready)
                    while writing and (result is not None or writing[0].done()):
                        writing.popleft().result()
                    if result is not None:
                        writing.append(writer.submit(self.write, result))
                for written in writing:
                    written.result()
            finally:
                for begun in tuple(ahead):
                    begun.cancel()
