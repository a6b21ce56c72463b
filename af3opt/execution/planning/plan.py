"""Which jobs there are and in what order, found without the engine.

Inputs are read as plain JSON, one at a time, and only name, size and seeds are kept:
ten thousand files cost seconds. What is wrong with an input is found out when its job
is run; here it only loses its place in the order.
"""

import dataclasses
import itertools
import logging
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from af3opt.base.errors import InputError, UsageError
from af3opt.base.json_types import Json
from af3opt.base.padding import padded_size
from af3opt.base.plain_text import visible
from af3opt.execution.planning.input_files import input_files, listed_files
from af3opt.host.queues.every import find_own_place
from af3opt.inputs.making.sources import is_source
from af3opt.inputs.names import sanitised_name
from af3opt.inputs.reading import read_json
from af3opt.output.tree import DATA_ENDING
from af3opt.settings.settings import Settings

_log = logging.getLogger(__name__)

# Upstream makes one token of a standard residue and of each atom of anything else.
# Ligands are not looked up here; this is a typical number of heavy atoms.
_LIGAND_TOKENS = 25
# More shards than nine digits can number are a typing error.
_SHARD_NUMBER = re.compile(r"[0-9]{1,9}")
_SMILES_ATOM = re.compile(r"\[[^\]]*\]|Br|Cl|[BCNOPSFIbcnops]")

# More names than this tell nothing more.
_MOST_DUPLICATES_SHOWN = 5


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PlannedJob:
    """One fold job as far as its JSON tells.

    Attributes:
        path: File it is in.
        position: Index among the fold jobs of that file.
        name: The job's name, or the file's stem when it cannot be read.
        tokens: Estimated number of tokens, 0 when it cannot be told.
        seeds: Seeds of the input, before `--num_seeds`.
    """

    path: Path
    position: int
    name: str
    tokens: int
    seeds: tuple[int, ...]

    @property
    def sanitised_name(self) -> str:
        """The name as upstream uses it for files and directories."""
        return sanitised_name(self.name)


def make_plan(
    settings: Settings, buckets: Sequence[int], environ: Mapping[str, str]
) -> list[PlannedJob]:
    """Lists the jobs that the settings ask for, in the order they should run.

    Args:
        settings: Give the inputs, the order and the share of this process.
        buckets: Token counts inputs are padded to.
        environ: Gives the scheduler's array variables for `--array`.

    Raises:
        InputError: there are none, or they cannot be listed.
        UsageError: see `parse_shard`.
    """
    if settings.json_path is not None:
        return read_jobs(settings.json_path)
    paths: Iterable[Path]
    left_out: list[Path] = []
    if settings.input_list is not None:
        source = f"--input_list={settings.input_list}"
        paths = listed_files(settings.input_list)
    else:
        assert settings.input_dir is not None
        source = f"--input_dir={settings.input_dir}"
        paths = input_files(settings.input_dir, recursive=settings.recursive, left_out=left_out)
    index, count = parse_shard(settings, environ)
    first = next(paths := iter(paths), None)
    if first is None:
        raise InputError(f"{source}: {_why_empty(settings.input_dir, left_out)}")
    share = take_shard(itertools.chain([first], paths), index, count)
    plan = list(plan_jobs(share, by_bucket=settings.order == "bucket", buckets=buckets))
    if left_out:
        _log.info(
            "%s: directories of jobs hold results and are left out (%d, such as %s)",
            visible(source), len(left_out), visible(str(left_out[0])),
        )  # fmt: skip
    return plan


def _why_empty(directory: Path | None, left_out: Sequence[Path]) -> str:
    if not left_out:
        return f"holds no *.json file{_hint(directory)}"
    return (
        f"holds no *.json file but those in directories of jobs ({len(left_out)}, such as "
        f"{left_out[0]}), which are left out; to fold a *{DATA_ENDING} of theirs, name it in "
        "--input_list"
    )


def _hint(directory: Path | None) -> str:
    """Says what to type for a directory of FASTA files, tables or ligands."""
    if directory is None or not any(map(is_source, directory.iterdir())):
        return ""
    folder = shlex.quote(str(directory))
    return f"; to make inputs of what it holds: af3opt make-inputs --output_dir=DIR {folder}"


def seeds_problem(job: PlannedJob, number: int | None) -> str | None:
    """Says why a job cannot have `--num_seeds` seeds; None where it can.

    Args:
        job: The job; one that names no seed gets as many as are wanted.
        number: `--num_seeds`.
    """
    if number is None or not job.seeds:
        return None
    if len(job.seeds) != 1:
        reason = f"modelSeeds must hold one seed, not {len(job.seeds)}"
    elif number == 1:
        reason = "must be at least 2; leave it out to use the seed of the input"
    else:
        return None
    return f"{job.path}: {job.name}: --num_seeds={number}: {reason}"


def take_shard(paths: Iterable[Path], index: int, count: int) -> Iterator[Path]:
    """Keeps every `count`-th path, beginning with number `index` (from 0)."""
    return itertools.islice(paths, index, None, count)


def parse_shard(settings: Settings, environ: Mapping[str, str]) -> tuple[int, int]:
    """Returns which share of the inputs this process takes, as (index, count).

    Args:
        settings: Gives `--shard` and `--array`.
        environ: Gives the scheduler's array variables for `--array`.

    Raises:
        UsageError: the shard is not I/N with 0 <= I < N, or there is no array.
    """
    if settings.shard is not None:
        left, _, right = settings.shard.partition("/")
        numbers = (left, right)
        if not all(map(_SHARD_NUMBER.fullmatch, numbers)) or int(left) >= int(right):
            raise UsageError(f"--shard={settings.shard}: give I/N with I from 0 to N-1, as in 0/8")
        return int(left), int(right)
    if not settings.array:
        return 0, 1
    place = find_own_place(environ)
    if place is None:
        raise UsageError(
            "--array: this is not a task of an array of Slurm, LSF or Grid Engine "
            "(SLURM_ARRAY_TASK_ID and its like are not set); use --shard=I/N"
        )
    index, rest = divmod(place.task - place.first, place.step)
    if rest or index >= place.count or place.last - place.first != (place.count - 1) * place.step:
        # Some inputs would belong to two tasks and others to none.
        raise UsageError(
            "--array: the indices of this array have gaps; submit all of its tasks "
            "(finished inputs cost nothing), or use --shard=I/N"
        )
    return index, place.count


def plan_jobs(
    paths: Iterable[Path], *, by_bucket: bool, buckets: Sequence[int]
) -> Iterator[PlannedJob]:
    """Yields the jobs of input files in the order they should run.

    Args:
        paths: Input files.
        by_bucket: Group jobs of one padded size, smallest first, so that a compiled
            model serves them all; otherwise the order of the files.
        buckets: Token counts inputs are padded to.
    """
    jobs = (job for path in paths for job in read_jobs(path))
    if not by_bucket:
        yield from jobs
        return
    yield from sorted(jobs, key=lambda job: (padded_size(job.tokens, buckets), job.path))


def read_jobs(path: Path) -> list[PlannedJob]:
    """Reads what planning needs from one input file; never raises on a bad one."""
    unreadable = PlannedJob(path=path, position=0, name=path.stem, tokens=0, seeds=())
    try:
        content, _ = read_json(path)
    except InputError:
        return [unreadable]
    entries = content if isinstance(content, list) else [content]
    return [_read_job(path, index, entry) for index, entry in enumerate(entries)] or [unreadable]


def _read_job(path: Path, position: int, entry: Json) -> PlannedJob:
    name, tokens = path.stem, 0
    seeds: tuple[int, ...] = ()
    if isinstance(entry, Mapping):
        if isinstance(entry.get("name"), str):
            name = entry["name"]
        sequences = entry.get("sequences")
        if isinstance(sequences, list):
            tokens = sum(map(_sequence_tokens, sequences))
        model_seeds = entry.get("modelSeeds")
        if isinstance(model_seeds, list):
            seeds = tuple(seed for seed in map(_integer, model_seeds) if seed is not None)
    return PlannedJob(path=path, position=position, name=name, tokens=tokens, seeds=seeds)


def _integer(value: Json) -> int | None:
    try:
        return int(value)
    except (TypeError, ValueError, OverflowError):
        return None


def _sequence_tokens(sequence: Json) -> int:
    """Estimates the tokens of one entry of `sequences`, in either dialect."""
    if not isinstance(sequence, Mapping) or not sequence:
        return 0
    content = next(iter(sequence.values()))
    if not isinstance(content, Mapping):
        return 0
    ids, count = content.get("id"), content.get("count", 1)
    copies = len(ids) if isinstance(ids, list) else (_integer(count) or 1)
    return copies * _chain_tokens(content)


def _chain_tokens(content: Mapping[str, Json]) -> int:
    if isinstance(content.get("sequence"), str):
        modifications = content.get("modifications")
        modified = len(modifications) if isinstance(modifications, list) else 0
        return len(content["sequence"]) + modified * _LIGAND_TOKENS
    if isinstance(content.get("smiles"), str):
        return len(_SMILES_ATOM.findall(content["smiles"]))
    codes = content.get("ccdCodes")
    if isinstance(codes, list):
        return len(codes) * _LIGAND_TOKENS
    return 1 if "ion" in content else _LIGAND_TOKENS


def duplicate_names(jobs: Iterable[PlannedJob]) -> dict[str, list[Path]]:
    """Finds jobs that would share an output directory.

    Returns:
        Sanitised name -> the files that use it, for names used more than once.
    """
    by_name: dict[str, list[Path]] = {}
    for job in jobs:
        by_name.setdefault(job.sanitised_name, []).append(job.path)
    return {name: paths for name, paths in by_name.items() if len(paths) > 1}


def warn_of_duplicates(settings: Settings, plan: Sequence[PlannedJob]) -> None:
    """Says which jobs have the name of another one, before anything is run.

    Raises:
        UsageError: with `--force_output_dir` they would overwrite each other.
    """
    duplicates = duplicate_names(plan)
    if duplicates and settings.force_output_dir:
        name, paths = next(iter(duplicates.items()))
        shown = ", ".join(map(str, paths[:_MOST_DUPLICATES_SHOWN]))
        raise UsageError(
            f"--force_output_dir: {len(paths)} jobs are named {name} ({shown}) and would overwrite "
            "each other; give them different names, or leave the flag out"
        )
    for name, paths in list(duplicates.items())[:_MOST_DUPLICATES_SHOWN]:
        _log.warning(
            "%d jobs are named %s (%s); all but the first get a directory with a time stamp",
            len(paths), name, ", ".join(map(str, paths[:_MOST_DUPLICATES_SHOWN])),
        )  # fmt: skip
    if len(duplicates) > _MOST_DUPLICATES_SHOWN:
        _log.warning("%d more names are used twice", len(duplicates) - _MOST_DUPLICATES_SHOWN)
