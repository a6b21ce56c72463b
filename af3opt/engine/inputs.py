"""Fold inputs: checked whole, then loaded by the engine."""

import functools
import json
import logging
from collections.abc import Iterator
from pathlib import Path

from af3opt.base.databases import states_of_files
from af3opt.base.errors import InputError
from af3opt.engine.input_checks import check_alignments, check_template_structures
from af3opt.engine.modules import engine_module
from af3opt.engine.protocols import ComponentDictionary
from af3opt.engine.protocols import FoldInput as FoldInput
from af3opt.engine.refusals import RefusedInputError, refusals
from af3opt.inputs.checking import check_content, check_file, check_job, read_file_of_job
from af3opt.inputs.digest import external_files, job_digest
from af3opt.inputs.job import CheckedJob

_log = logging.getLogger(__name__)


def make_ccd(user_ccd: str | None = None) -> ComponentDictionary:
    """Returns the engine's chemical component dictionary for one job.

    Args:
        user_ccd: Components of the job in mmCIF; they shadow the dictionary's.
    """
    ccd: ComponentDictionary = engine_module("constants.chemical_components").Ccd(user_ccd=user_ccd)
    return ccd


def load_fold_input(path: Path, position: int = 0) -> FoldInput:
    """Returns one fold input of a JSON file, checked whole.

    Args:
        path: JSON file in AlphaFold 3's or AlphaFold Server's dialect.
        position: Index of the job among those of the file.

    Raises:
        InputError: the file cannot be read, or the job is not a valid input.
    """
    return _load(check_job(path, position, _versions()))


def load_digested_input(path: Path, position: int = 0) -> tuple[FoldInput, str]:
    """Returns one fold input of a JSON file, checked whole, and the digest of what was read.

    The file may be saved again at any time, so it is not read a second time for its digest.

    Args:
        path: JSON file in AlphaFold 3's or AlphaFold Server's dialect.
        position: Index of the job among those of the file.

    Returns:
        The fold input, and the digest as `inputs.digest.job_digest` gives it.

    Raises:
        InputError: a file cannot be read or changes meanwhile, or the job is not a valid
            input.
    """
    content, doubled = read_file_of_job(path, position)
    entry = content[position] if isinstance(content, list) else content
    named = external_files(entry, path.parent)
    before = states_of_files(named)
    fold_input = _load(check_content(content, path, position, _versions(), doubled))
    digest = job_digest(entry, path.parent)
    if states_of_files(named) != before:
        raise InputError(f"{path}: a file that it names changed while it was read; run again")
    return fold_input, digest


def load_fold_inputs(path: Path) -> Iterator[FoldInput]:
    """Yields the fold inputs of one JSON file (several in AlphaFold Server's dialect).

    Args:
        path: JSON file in AlphaFold 3's or AlphaFold Server's dialect.

    Raises:
        InputError: the file cannot be read, or a job of it is not a valid input.
    """
    for job in check_file(path, _versions()):
        yield _load(job)


def reload_fold_input(path: Path) -> FoldInput:
    """Returns the fold input of a `<name>_data.json` that af3opt has written.

    It has been checked before, and its alignments are large, so only the engine reads it.

    Raises:
        InputError: it cannot be read.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read: {error}") from error
    try:
        with refusals():
            loaded: FoldInput = engine_module("common.folding_input").Input.from_json(text, path)
            return loaded
    except RefusedInputError as error:
        raise InputError(f"{path}: {error}") from error


def fold_input_from_json(text: str) -> FoldInput:
    """Makes a fold input from text that is known to be right.

    Args:
        text: JSON in AlphaFold 3's dialect.
    """
    fold_input: FoldInput = engine_module("common.folding_input").Input.from_json(text)
    return fold_input


def _versions() -> tuple[int, ...]:
    return tuple(engine_module("common.folding_input").JSON_VERSIONS)


def _load(job: CheckedJob) -> FoldInput:
    """Loads a job that has passed its checks, and checks what takes the engine to see."""
    job.raise_if_refused()
    loader = engine_module("common.folding_input").Input
    try:
        with refusals():
            if job.in_list:
                fold_input: FoldInput = loader.from_alphafoldserver_fold_job(job.content)
            else:
                fold_input = loader.from_json(json.dumps(job.content), job.path)
            ccd = make_ccd(fold_input.user_ccd)
    except RefusedInputError as error:
        raise InputError(f"{job.source}: {_with_field(str(error))}") from error
    job.check_components(ccd)
    check_alignments(fold_input, job)
    check_template_structures(fold_input, job)
    job.raise_if_refused()
    for warning in job.warnings:
        _warn_once(warning)
    return fold_input


def _with_field(reason: str) -> str:
    """Names the field where the engine's words do not."""
    # The one field whose mmCIF is parsed while an input is loaded.
    about_components = any(words in reason for words in ("INVALID_ARGUMENT", "CCD"))
    return f"userCCD: {reason}" if about_components and "userCCD" not in reason else reason


@functools.lru_cache(maxsize=4096)
def _warn_once(text: str) -> None:
    """Says it once in this process: a job may be opened more than once."""
    _log.warning("%s", text)


def needs_search(fold_input: FoldInput) -> bool:
    """Tells whether the data pipeline would have to search a database for this input."""
    for chain in fold_input.protein_chains:
        if chain.unpaired_msa is None or chain.paired_msa is None or chain.templates is None:
            return True
    return any(chain.unpaired_msa is None for chain in fold_input.rna_chains)
