"""`af3opt featurise`: fills the feature cache from processes that need no GPU."""

import logging
import os
import time
from typing import TYPE_CHECKING

from af3opt.base.errors import ExitCode, InputError, UsageError
from af3opt.base.standard_streams import write_out
from af3opt.commands._run_settings import (
    asks_for_help,
    read_settings,
    with_input_to_read_again,
)
from af3opt.settings.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from af3opt.engine.inputs import FoldInput
    from af3opt.execution.planning.plan import PlannedJob
    from af3opt.features.options import FeatureOptions
    from af3opt.features.parallel import FeatureJob

SUMMARY = "fill the feature cache in advance, with several processes and without a GPU"

_HELP = """\
Usage: af3opt featurise --input_dir=DIR [flags of af3opt run]
       af3opt featurise --json_path=FILE [flags of af3opt run]

Computes the features of inputs and stores them in the feature cache. The inputs must have their
alignments and templates, as in the <name>_data.json of af3opt run --norun_inference. A run with
--norun_data_pipeline, the same inputs and the same flags then begins with the model at once. Use it
on CPU nodes, between the searches and the GPU jobs.

--featurise_workers sets the number of processes. Unset: as many as cores and memory allow, if that
is faster. Inputs are padded to --buckets; unset: to the buckets of a GPU run.

Exit code: 3 if some inputs could not be featurised (each is named), 2 if the only input could not
be featurised, else 0.
"""

_log = logging.getLogger(__name__)

# A job may have a million; its arrays are in memory for as many of them.
_SEEDS_AT_ONCE = 64


def main(argv: list[str]) -> int:
    """Runs `af3opt featurise` and returns the exit code.

    Raises:
        UsageError: a flag is wrong, or no input is given.
        InputError: there are no inputs.
        SetupError: the engine or its data cannot be used.
    """
    if asks_for_help(argv):
        write_out(_HELP)
        return ExitCode.OK
    settings = with_input_to_read_again(read_settings(argv))
    given = (settings.json_path, settings.input_dir, settings.input_list)
    if sum(place is not None for place in given) != 1:
        raise UsageError(
            "af3opt featurise: give exactly one of --json_path and --input_dir (or --input_list)"
        )
    if not settings.feature_cache:
        raise UsageError("af3opt featurise: --nofeature_cache leaves it nothing to do")
    # Featurisation code imports JAX, which must not take a GPU for this.
    os.environ["JAX_PLATFORMS"] = "cpu"
    return ExitCode.SOME_FAILED if _featurise(settings) else ExitCode.OK


def _featurise(settings: Settings) -> int:
    """Featurises everything and returns how many inputs failed."""
    from af3opt.caching.locations import cache_directory
    from af3opt.data.prepared import find_prepared
    from af3opt.data.resources import redirect_resources
    from af3opt.execution.planning.plan import make_plan
    from af3opt.features.options import FeatureOptions
    from af3opt.features.parallel import parallel_featurize
    from af3opt.inference.buckets import choose_buckets

    redirect_resources(find_prepared())
    directory = cache_directory("features", settings.feature_cache_dir)
    start = time.monotonic()
    # The model runs elsewhere later: on a GPU unless --jax_backend says otherwise.
    buckets = choose_buckets(settings, settings.jax_backend or "gpu")
    plan = make_plan(settings, buckets, os.environ)
    options = FeatureOptions.from_settings(settings, buckets)
    refused: list[PlannedJob] = []
    jobs = _jobs(plan, settings.num_seeds, options, refused)
    failed: dict[int, FoldInput] = {}
    for outcome in parallel_featurize(
        jobs,
        workers=settings.featurise_workers,
        cache_dir=directory,
        cache_gb=settings.feature_cache_gb,
    ):
        fold_input = outcome.job.fold_input
        if outcome.error is None:
            _log.info("%s: %d seed(s)", fold_input.name, len(outcome.batches))
        elif id(fold_input) not in failed:  # Once, though its seeds come in parts.
            failed[id(fold_input)] = fold_input
            _log.error("%s", outcome.error)
    failures = len(failed) + len(refused)
    _log.info(
        "%d inputs featurised into %s in %.1f s, %d failed",
        len(plan) - failures, directory, time.monotonic() - start, failures,
    )  # fmt: skip
    return failures


def _jobs(
    plan: "Sequence[PlannedJob]",
    num_seeds: int | None,
    options: "FeatureOptions",
    refused: "list[PlannedJob]",
) -> "Iterator[FeatureJob]":
    """Reads input after input, and yields each in parts of a few seeds.

    Args:
        plan: The inputs.
        num_seeds: `--num_seeds`.
        options: Featurisation options.
        refused: Takes those that cannot be featurised.

    Raises:
        InputError: there is one input only, and it cannot.
    """
    from af3opt.features.parallel import FeatureJob

    for planned in plan:
        try:
            fold_input = _load(planned, num_seeds)
        except InputError as error:
            if len(plan) == 1:
                raise
            _log.error("%s", error)
            refused.append(planned)
            continue
        seeds = fold_input.rng_seeds
        for start in range(0, len(seeds), _SEEDS_AT_ONCE):
            yield FeatureJob(fold_input, tuple(seeds[start : start + _SEEDS_AT_ONCE]), options)


def _load(planned: "PlannedJob", num_seeds: int | None) -> "FoldInput":
    """Loads an input that brings its alignments and templates."""
    from af3opt.engine.inputs import load_fold_input, needs_search
    from af3opt.execution.planning.plan import seeds_problem

    problem = seeds_problem(planned, num_seeds)
    if problem is not None:
        raise InputError(problem)
    fold_input = load_fold_input(planned.path, planned.position)
    if needs_search(fold_input):
        raise InputError(
            f"{planned.path}: {fold_input.name}: cannot be featurised: a chain has no MSA or "
            "templates; run af3opt run --norun_inference and featurise its <name>_data.json"
        )
    if num_seeds is None:
        return fold_input
    try:
        return fold_input.with_multiple_seeds(num_seeds)
    except ValueError as error:
        raise InputError(f"{planned.path}: --num_seeds={num_seeds}: {error}") from error
