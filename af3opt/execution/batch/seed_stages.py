"""The three stages of a seed in a batch: featurise, infer, write."""

import functools
import logging
import time

from af3opt.execution.batch.shared import Batch
from af3opt.execution.batch.units import Featurised, Ran, SeedToDo
from af3opt.execution.job.memory_fit import MemoryFit, UnwrittenResults
from af3opt.execution.job.seed_steps import extract_seed, featurise_seed, observed_inference
from af3opt.execution.job.tools import Model
from af3opt.numerics import infer_checked

_log = logging.getLogger(__name__)


class SeedStages:
    """What is done with each seed; errors end its job, and the batch where they must."""

    def __init__(self, batch: Batch, model: Model | None) -> None:
        """Connects what the stages need.

        Args:
            batch: What the parts of the batch share.
            model: The model; None without inference, when there is no seed to do.
        """
        self._batch = batch
        self._model = model
        # Overlapped, a seed is in each of the three stages. Further ones may be featurised,
        # but their features are small beside a result, which only two of the three have.
        in_flight = 3 if batch.overlapped else 1
        runner = model.runner if model is not None else None
        self._memory = MemoryFit(batch.session, runner, seeds_in_flight=in_flight)
        self._unwritten = UnwrittenResults()

    def featurise(self, unit: SeedToDo) -> Featurised:
        """Makes a seed ready for the device; called by several threads."""
        features = None
        try:
            if unit.fate.goes_on:
                features = featurise_seed(self._batch.tools, unit.job, unit.seed, unit.upcoming)
        except Exception as error:
            self._fail(unit, error)
        return Featurised(unit, features)

    def infer(self, ready: Featurised) -> Ran | None:
        """Runs the model on a seed; None when its job has ended or failed."""
        unit, features, model = ready.unit, ready.features, self._model
        if self._batch.guard.stop_requested.is_set():
            unit.fate.leave()
        try:
            if features is None or model is None or not unit.fate.goes_on:
                unit.count.over()
                return None
            start = time.monotonic()
            size = self._memory.size(features.batch)
            if size.seeds_in_flight == 1:
                self._unwritten.wait_for_none()
            once_before = model.runner.once_seconds
            arguments = (features.batch, unit.seed, size.samples)
            with observed_inference(model, unit.job, unit.seed):
                checked = infer_checked(
                    functools.partial(model.runner.run_inference, *arguments),
                    features.batch,
                    seed=unit.seed,
                    handler=model.numerics,
                    safer=model.safer,
                    infer_safer=functools.partial(model.run_safer, *arguments),
                )
            self._memory.ran(features.batch)
            once = model.runner.once_seconds - once_before
            seconds = features.seconds + time.monotonic() - start - once
        except Exception as error:
            self._fail(unit, error)
            unit.count.over()
            return None
        finally:
            self._batch.ahead.popleft()
        if self._batch.leases is not None:
            self._batch.leases.compiled(unit.bucket)
        self._unwritten.add()
        return Ran(unit, features, checked, seconds, once)

    def write(self, ran: Ran) -> None:
        """Writes a seed's results."""
        unit, batch, start = ran.unit, ran.features.batch, time.monotonic()
        try:
            # Here and not in the thread of the device, which would wait for it.
            result = extract_seed(unit.job, ran.checked, batch, ran.seconds)
            unit.writer.write_seed(result)
        except Exception as error:
            self._fail(unit, error)
        else:
            # One that was computed twice says nothing of the others.
            if ran.checked.attempts == 1:
                seconds = ran.seconds + time.monotonic() - start
                self._batch.deadline.learn(ran.features.padded_tokens, seconds, ran.once)
        finally:
            self._unwritten.remove()
        unit.count.over()

    def _fail(self, unit: SeedToDo, error: Exception) -> None:
        _log.debug("Fold job %s", unit.job.loaded.name, exc_info=error)
        self._batch.tally.job_failed(unit.fate, error)
