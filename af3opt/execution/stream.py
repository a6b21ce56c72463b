"""Featurise, run, write: three stages over a stream of seeds, in order or overlapped.

Overlapped, while seed k runs on the device, seed k+1 (of this job or the next) is
featurised and seed k-1 is written. One seed at a time is in each stage, so at most
three seeds' arrays are in memory. Side effects keep their order: seeds are
featurised, run and written in the order of the stream, each stage in one thread.

The model runs in the calling thread; the other two stages mostly wait for C++ code
that releases the interpreter lock. On a CPU backend the stages would compete for
the same cores, so there they take turns.
"""

import concurrent.futures
import dataclasses
from collections.abc import Callable, Iterator


@dataclasses.dataclass(frozen=True)
class Stages[Ready, Result]:
    """The stages of a stream.

    Attributes:
        ready: Featurised seeds; pulling one does the work of featurising it.
        infer: Runs the model; None means the seed failed and was dealt with.
        write: Writes the result.
    """

    ready: Iterator[Ready]
    infer: Callable[[Ready], Result | None]
    write: Callable[[Result], None]

    def run_in_turn(self) -> None:
        """Takes each seed through all stages before the next."""
        for unit in self.ready:
            result = self.infer(unit)
            if result is not None:
                self.write(result)

    def run_overlapped(self) -> None:
        """Same as `run_in_turn`, with the stages of neighbouring seeds overlapped.

        An exception that a stage lets out ends the stream: writing that has begun is
        completed first, then the exception is raised here.
        """
        with (
            concurrent.futures.ThreadPoolExecutor(1, "featurise") as featuriser,
            concurrent.futures.ThreadPoolExecutor(1, "write") as writer,
        ):
            writing: concurrent.futures.Future[None] | None = None
            upcoming = featuriser.submit(next, self.ready, None)
            while (unit := upcoming.result()) is not None:
                upcoming = featuriser.submit(next, self.ready, None)
                result = self.infer(unit)
                if writing is not None:
                    writing.result()
                    writing = None
                if result is not None:
                    writing = writer.submit(self.write, result)
            if writing is not None:
                writing.result()
