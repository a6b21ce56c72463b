"""Results of another input in a directory that is used again.

That is done with `--force_output_dir`, and where the input with alignments was changed or lost.
Upstream writes over what has the same name and leaves the rest. Then a model stays beside the
input of another molecule: for hours, until the first seed is done, or for good, where nothing is
folded or the earlier input had more seeds. So it is moved aside, and nothing is lost.
"""

import datetime
import logging
from pathlib import Path

from af3opt.base.errors import InputError
from af3opt.engine.inputs import FoldInput, reload_fold_input
from af3opt.execution.job.loading import resolved_digest
from af3opt.output.job_directory import make_stamped_directory
from af3opt.output.run_record import read_run_record, record_path
from af3opt.output.tree import JobTree

_log = logging.getLogger(__name__)


def set_aside(tree: JobTree, fold_input: FoldInput, source: Path) -> None:
    """Moves results of another input to a directory of their own, and says so.

    Args:
        tree: The job, about to be written.
        fold_input: Its input, complete.
        source: The file it came from, which stays.

    Raises:
        OSError: they cannot be moved.
    """
    found = tree.results()
    if not found or _input_digest(tree) == resolved_digest(fold_input):
        return
    others = [tree.data_json, record_path(tree.root, tree.name), tree.report]
    found += [path for path in others if path.is_file() and not _is_same(path, source)]
    target = make_stamped_directory(tree.root, datetime.datetime.now())
    for path in found:
        path.rename(target / path.name)
    _log.warning("%s held results of another input: they are in %s now", tree.root, target)


def _input_digest(tree: JobTree) -> str | None:
    """Digest of the input that results were made of, None where nothing tells it."""
    record = read_run_record(record_path(tree.root, tree.name))
    if record is not None:
        return record.input.digest
    try:
        return resolved_digest(reload_fold_input(tree.data_json))
    except (InputError, ValueError):
        return None


def _is_same(path: Path, other: Path) -> bool:
    return path.resolve() == other.resolve()
