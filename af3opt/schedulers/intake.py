"""What there is to do for the inputs of a batch, and which of them cannot be used."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from af3opt.base.errors import InputError
from af3opt.base.json_types import Json
from af3opt.base.padding import padded_size
from af3opt.execution.planning.plan import PlannedJob, seeds_problem
from af3opt.inputs.checking import check_file
from af3opt.inputs.components import Dictionary, check_components
from af3opt.inputs.findings import Place
from af3opt.schedulers.finished import FinishedJobs
from af3opt.schedulers.search_work import SearchCosts, chains_to_search
from af3opt.schedulers.shares import FileWork
from af3opt.settings.settings import Settings


@dataclasses.dataclass(frozen=True, kw_only=True)
class Costs:
    """How long things take.

    Attributes:
        seed: Padded tokens -> seconds of one seed.
        search: What searches cost; None when none are done.
    """

    seed: Callable[[int], float]
    search: SearchCosts | None


@dataclasses.dataclass(kw_only=True)
class Intake:
    """The inputs of a batch, sorted by what is to be done.

    Attributes:
        to_search: Files with a job that has no MSAs and templates yet.
        searched: Files that need inference alone.
        jobs: Jobs of these files.
        finished: Jobs left out because nothing is left to do for them.
        unusable: Jobs left out because of what is wrong with their input, and that.
    """

    to_search: list[FileWork] = dataclasses.field(default_factory=list)
    searched: list[FileWork] = dataclasses.field(default_factory=list)
    jobs: list[PlannedJob] = dataclasses.field(default_factory=list)
    finished: int = 0
    unusable: list[tuple[PlannedJob, str]] = dataclasses.field(default_factory=list)


def take_in(
    plan: Sequence[PlannedJob],
    settings: Settings,
    buckets: Sequence[int],
    costs: Costs,
    done: FinishedJobs | None,
    ccd: Dictionary | None = None,
) -> Intake:
    """Reads the inputs and finds out what is left to do for each.

    Args:
        plan: All jobs.
        settings: Give the stages and `--num_seeds`.
        buckets: Token counts inputs are padded to.
        costs: How long things take.
        done: Knows what is finished; None to do everything again.
        ccd: Chemical component dictionary, None where it cannot be opened quickly.
    """
    by_file: dict[Path, list[PlannedJob]] = {}
    for job in plan:
        by_file.setdefault(job.path, []).append(job)
    intake = Intake()
    for path, planned in by_file.items():
        jobs, contents = _usable(path, planned, intake, ccd, settings.num_seeds)
        # A file is one unit: as long as one of its jobs is left, all of them are named.
        if not jobs:
            continue
        if done is not None and all(map(done.is_finished, jobs)):
            intake.finished += len(jobs)
            continue
        work = _work(path, jobs, contents, settings, buckets, costs)
        needs_data = settings.run_data_pipeline and not (
            done is not None and all(map(done.is_searched, jobs))
        )
        if not needs_data:
            work.searches = {}
        (intake.to_search if needs_data else intake.searched).append(work)
        intake.jobs += jobs
    return intake


def _usable(
    path: Path,
    planned: Sequence[PlannedJob],
    intake: Intake,
    ccd: Dictionary | None,
    num_seeds: int | None,
) -> tuple[list[PlannedJob], list[Mapping[str, Json]]]:
    """Checks a file; returns the jobs that can be run, and their JSON; notes the others."""
    try:
        checked = check_file(path)
    except InputError as error:
        intake.unusable += [(job, str(error)) for job in planned]
        return [], []
    jobs: list[PlannedJob] = []
    contents: list[Mapping[str, Json]] = []
    for job, found in zip(planned, checked, strict=True):
        # The engine reads a job's own components; what they add is not known here.
        if ccd is not None and not found.findings.errors and not found.content.get("userCCD"):
            check_components(found.chains, found.bonds, ccd, Place(found.findings))
        if found.findings.errors:
            intake.unusable.append((job, f"{found.source}: {found.findings.summary}"))
        elif problem := seeds_problem(job, num_seeds):
            intake.unusable.append((job, problem))
        else:
            jobs.append(job)
            contents.append(found.content)
    return jobs, contents


def _work(
    path: Path,
    jobs: Sequence[PlannedJob],
    contents: Sequence[Mapping[str, Json]],
    settings: Settings,
    buckets: Sequence[int],
    costs: Costs,
) -> FileWork:
    work = FileWork(path=path, size=0)
    for job in jobs:
        bucket = padded_size(job.tokens, buckets)
        # A file with several jobs is as large as its largest job.
        work.size = max(work.size, bucket)
        if settings.run_inference:
            work.inference += costs.seed(bucket) * (settings.num_seeds or len(job.seeds) or 1)
    if costs.search is not None:
        chains = frozenset().union(*map(chains_to_search, contents))
        seconds = {chain: costs.search.seconds(chain) for chain in chains}
        work.searches = {chain: cost for chain, cost in seconds.items() if cost}
    return work
