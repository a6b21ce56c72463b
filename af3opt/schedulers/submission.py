"""Submitting the arrays of a batch, and remembering which ones were submitted."""

import dataclasses
import datetime
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from af3opt.base.atomic import atomic_write_text
from af3opt.base.foreign_files import read_foreign
from af3opt.base.json_files import parse_object
from af3opt.execution.state_directory import STATE_DIRECTORY, jobs_directory
from af3opt.host.queues.every import QUEUES
from af3opt.schedulers.core import Array, Scheduler
from af3opt.schedulers.every import SCHEDULERS
from af3opt.schedulers.scripts import job_script
from af3opt.schedulers.site import Site

_KEPT = "arrays.json"
_MOST_BYTES = 10_000_000


@dataclasses.dataclass(frozen=True, kw_only=True)
class Submission:
    """The arrays of one `af3opt submit`.

    Attributes:
        scheduler: Who gets them.
        output_dir: The batch's output directory.
        directory: Holds input lists, scripts and what tasks note down; logs lie elsewhere.
        arrays: The arrays, in the order in which they are submitted.
        lists: Name of an input list -> the files that it names.
        scripts: Name of an array -> its script.
    """

    scheduler: Scheduler
    output_dir: Path
    directory: Path
    arrays: Sequence[Array]
    lists: Mapping[str, Sequence[Path]]
    scripts: Mapping[str, str]


def prepare_submission(
    site: Site,
    output_dir: Path,
    *,
    to_search: Sequence[Sequence[Path]],
    searched: Sequence[Sequence[Path]],
    inference: bool,
    flags: Sequence[str],
) -> Submission:
    """Makes scripts and input lists; writes nothing.

    Args:
        site: The site's settings.
        output_dir: The batch's output directory.
        to_search: Shares whose searches come first.
        searched: Shares that need inference alone.
        inference: Whether inference is wanted.
        flags: Flags of `af3opt run` for both stages, without inputs.
    """
    scheduler = SCHEDULERS[site.scheduler]
    stamp = datetime.datetime.now().strftime("%Y%m%d_%H%M%S_%f")
    directory = output_dir / STATE_DIRECTORY / "submitted" / stamp
    # Each kind has lists and an array of its own; a single kind has the usual names.
    apart = "ready-" if to_search else ""
    wanted = [("data", "data", "", len(to_search))]
    if inference:
        wanted += [("inference", "inference", "", len(to_search))]
        ready = "inference-ready" if to_search else "inference"
        wanted += [(ready, "inference", apart, len(searched))]
    arrays = [
        Array(
            name=name,
            stage=stage,
            resources=site.stages[stage],
            tasks=tasks,
            directory=directory,
            log_dir=output_dir / site.log_dir,
            lists=lists,
        )
        for name, stage, lists, tasks in wanted
        if tasks
    ]
    return Submission(
        scheduler=scheduler,
        output_dir=output_dir,
        directory=directory,
        arrays=arrays,
        lists={
            f"{prefix}{index:04d}.txt": share
            for prefix, shares in (("", to_search), (apart, searched))
            for index, share in enumerate(shares)
        },
        scripts={
            array.name: job_script(scheduler, array, flags, jobs_directory(output_dir))
            for array in arrays
        },
    )


def write_submission(submission: Submission) -> None:
    """Writes input lists and scripts, and makes the directory of the logs.

    Raises:
        OSError: the output directory cannot be written.
    """
    submission.directory.mkdir(parents=True)
    for name, share in submission.lists.items():
        text = "".join(f"{path.absolute()}\n" for path in share)
        atomic_write_text(submission.directory / name, text)
    for array in submission.arrays:
        array.log_dir.mkdir(parents=True, exist_ok=True)
        script = submission.directory / submission.scheduler.script_name(array)
        atomic_write_text(script, submission.scripts[array.name])


def submit_arrays(submission: Submission) -> dict[str, str]:
    """Submits the arrays; inference of a share waits for its searches.

    Returns:
        Name of an array -> its id.

    Raises:
        SetupError: the submitting command is missing, refuses or does not answer.
    """
    ids: dict[str, str] = {}
    for array in submission.arrays:
        script = submission.directory / submission.scheduler.script_name(array)
        after = ids.get("data") if array.name == "inference" else None
        ids[array.name] = submission.scheduler.submit(script, after)
        # At once: if the next one is refused, this one waits or runs all the same.
        atomic_write_text(submission.directory / f"{array.name}.id", f"{ids[array.name]}\n")
        content = {"scheduler": submission.scheduler.name, "arrays": ids}
        atomic_write_text(submission.directory / _KEPT, json.dumps(content))
    return ids


def unfinished_arrays(output_dir: Path) -> dict[str, list[str]]:
    """Asks which arrays of a directory still wait or run.

    Returns:
        Name of a scheduler -> ids of its arrays; without those nobody can tell about.
    """
    submitted: dict[str, set[str]] = {}
    for path in (output_dir / STATE_DIRECTORY / "submitted").glob(f"*/{_KEPT}"):
        try:
            content = parse_object(read_foreign(path, _MOST_BYTES))
            scheduler, ids = str(content["scheduler"]), set(map(str, content["arrays"].values()))
            for follow_up in path.parent.glob("*.next"):
                ids.update(read_foreign(follow_up, _MOST_BYTES).decode().split())
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            continue
        submitted.setdefault(scheduler, set()).update(ids)
    found: dict[str, list[str]] = {}
    for scheduler, ids in submitted.items():
        alive = QUEUES[scheduler].alive(ids) if scheduler in QUEUES else {}
        if any(alive.values()):
            found[scheduler] = sorted(label for label, lives in alive.items() if lives)
    return found
