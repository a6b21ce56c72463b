"""What of a batch is done already, as far as that can be told where it is submitted.

A login node may have neither the engine nor a GPU nor the databases. So a job counts as
finished when its input, its seeds and every setting are those of a run whose files are
all there; engine, backend, optimisations and versions are not looked at. Weights are where
their digest is remembered: reading them takes too long here.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from af3opt.base.json_types import Json
from af3opt.environment.neutral import (
    engine_variables,
    may_change_results,
    result_variables,
)
from af3opt.execution.job.identity import Computing, data_identity, run_identity
from af3opt.execution.job.journal import JobJournal
from af3opt.execution.job.state_files import read_run_file
from af3opt.execution.job.weights_digest import remembered_digest
from af3opt.execution.planning.plan import PlannedJob
from af3opt.inputs.digest import input_digest
from af3opt.settings.settings import Settings

# What is known where a job runs only.
_UNKNOWN_HERE = frozenset(
    {
        *("resolved_input", "first_seed", "weights", "engine"),
        *("jax_backend", "buckets", "optimisations"),
    }
)


class FinishedJobs:
    """The finished jobs of an output directory.

    Attributes:
        compares_weights: Whether weights are compared: their digest is known here.
    """

    def __init__(self, settings: Settings, output_dir: Path, environ: Mapping[str, str]) -> None:
        """Remembers what a run with these settings is known by.

        Args:
            settings: Settings of the batch.
            output_dir: Its output directory; need not exist.
            environ: Usually `os.environ`, which schedulers hand on to jobs.
        """
        self._settings = settings
        self._output_dir = output_dir
        self._variables = result_variables({**settings.preset_environment, **environ})
        computing = Computing(variables=self._variables)
        parts = run_identity(settings, computing, resolved_input="", first_seed=0).parts
        self._wanted = {name: part for name, part in parts.items() if name not in _UNKNOWN_HERE}
        weights = remembered_digest(settings.model_dir) if settings.run_inference else None
        self.compares_weights = weights is not None
        if weights is not None:
            self._wanted["weights"] = weights

    def is_searched(self, job: PlannedJob) -> bool:
        """Tells whether a job's MSAs and templates are there, from these databases."""
        digest = self._digest(job)
        if digest is None:
            return False
        journal = JobJournal(self._output_dir, job.sanitised_name)
        record = journal.data.of_input(digest, job.seeds)
        if record is None or not record.is_unchanged():
            return False
        engine = str(record.parts.get("engine", ""))
        return any(
            _agree(
                data_identity(
                    self._settings,
                    input_digest=digest,
                    engine_fingerprint=engine,
                    searched=searched,
                    variables=engine_variables(self._variables),
                ).parts,
                record.parts,
            )
            for searched in (True, False)
        )

    def is_finished(self, job: PlannedJob) -> bool:
        """Tells whether nothing is left to do for a job."""
        if not self._settings.run_inference:
            return self.is_searched(job)
        digest = self._digest(job)
        if digest is None:
            return False
        journal = JobJournal(self._output_dir, job.sanitised_name)
        wanted = {**self._wanted, "input": digest}
        for path in journal.directory.glob("*/run.json"):
            run = read_run_file(path)
            if run is None or not _agree(wanted, run.parts) or not self._are_wanted(job, run.seeds):
                continue
            if journal.run_called(path.parent.name).is_finished(run.seeds):
                return True
        return False

    def _digest(self, job: PlannedJob) -> str | None:
        if not JobJournal(self._output_dir, job.sanitised_name).directory.is_dir():
            return None
        try:
            return input_digest(job.path, job.position)
        except (OSError, ValueError, LookupError, AttributeError, RecursionError):
            return None

    def _are_wanted(self, job: PlannedJob, seeds: Sequence[int]) -> bool:
        """Tells whether a run's seeds are those of a job; one without any keeps what it got."""
        if not seeds:
            return False
        number = self._settings.num_seeds
        wanted: Sequence[int] = job.seeds or (seeds[:1] if number is not None else seeds)
        if number is not None and len(wanted) == 1:
            wanted = range(wanted[0], wanted[0] + number)
        return list(wanted) == list(seeds)


def _agree(wanted: Mapping[str, Json], parts: Mapping[str, Json]) -> bool:
    others = (name for name in parts if name not in wanted and may_change_results(name))
    return next(others, None) is None and all(
        parts.get(name) == part for name, part in wanted.items()
    )
