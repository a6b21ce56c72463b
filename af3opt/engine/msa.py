"""The engine's data pipeline (MSA and template search) from our settings."""

import contextlib
import dataclasses
import datetime
import errno
import logging
import string
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from af3opt.base.errors import SetupError
from af3opt.engine.console import prints_to_log
from af3opt.engine.databases import database_files
from af3opt.engine.inputs import FoldInput, needs_search
from af3opt.engine.modules import engine_module
from af3opt.engine.protocols import PipelineConfig, ProteinChain
from af3opt.engine.template_files import MissingTemplateFiles
from af3opt.settings.settings import Settings

_log = logging.getLogger(__name__)

_BINARIES = ("jackhmmer", "nhmmer", "hmmalign", "hmmsearch", "hmmbuild")


class DataPipeline:
    """Runs the engine's searches; needs tools and databases only if something is searched."""

    def __init__(
        self, settings: Settings, derive: Callable[[type, PipelineConfig], type] | None = None
    ) -> None:
        """Prepares; the engine's pipeline is made at the first search.

        Args:
            settings: Names tools and databases.
            derive: From the engine's class of a pipeline, and the configuration that it will
                be made with, to one that has a cache around its searches.
        """
        self._settings = settings
        self._derive = derive
        self._pipeline: Any = None
        self._missing_files = MissingTemplateFiles()
        self._template_directory = ""
        self._lock = threading.Lock()

    def check(self) -> None:
        """Fails now if a tool or database is missing.

        Raises:
            SetupError: names the flag to set.
        """
        self._build()

    def process(self, fold_input: FoldInput) -> FoldInput:
        """Returns `fold_input` with MSAs and templates filled in, as upstream does.

        Raises:
            SetupError: a tool or database that is needed is missing, or a tool failed.
        """
        try:
            with prints_to_log(_log), _space_named():
                if not needs_search(fold_input):
                    return _fill_without_search(fold_input)
                pipeline = self._build()
                with self._missing_files.counted(self._template_directory):
                    filled: FoldInput = pipeline.process(fold_input)
                _say_what_was_found(fold_input, filled)
                return filled
        except (RuntimeError, ValueError) as error:
            reason = " ".join(str(error).split())[:500]
            raise SetupError(f"the data pipeline failed for {fold_input.name}: {reason}") from error

    def search_protein(self, chain: ProteinChain) -> ProteinChain:
        """Returns a protein chain with MSAs and templates; threads may call this at once.

        Raises:
            RuntimeError: a tool failed, or there is no space for temporary files.
        """
        pipeline = self._build()
        with _space_named(), self._missing_files.counted(self._template_directory):
            filled: ProteinChain = pipeline.process_protein_chain(chain)
            return filled

    def _build(self) -> Any:
        with self._lock:
            return self._built()

    def _built(self) -> Any:
        if self._pipeline is None:
            config = data_pipeline_config(self._settings)
            self._template_directory = str(config.pdb_database_path)
            pipeline_class = engine_module("data.pipeline").DataPipeline
            if self._derive is not None:
                pipeline_class = self._derive(pipeline_class, config)
            self._pipeline = pipeline_class(config)
        return self._pipeline


def _say_what_was_found(given: FoldInput, filled: FoldInput) -> None:
    """Says for each chain that brought no alignment what it has now."""
    searched = {chain.id for chain in _polymers(given) if chain.unpaired_msa is None}
    for chain in _polymers(filled):
        if chain.id not in searched:
            continue
        rows = {
            name: found_rows(getattr(chain, f"{name}_msa", None)) for name in ("unpaired", "paired")
        }
        what, residues = f"Chain {chain.id}", len(chain.sequence)
        if not any(rows.values()):
            _log.warning(
                "%s (%d residues) has no relatives in any database; the model gets the sequence "
                "alone",
                what,
                residues,
            )
            continue
        templates = getattr(chain, "templates", None) or ()
        _log.info(
            "%s (%d residues): %d rows, %d rows for pairing, %d template(s)",
            what,
            residues,
            rows["unpaired"],
            rows["paired"],
            len(templates),
        )


def found_rows(alignment: str | None) -> int:
    """Rows of an A3M alignment without the query, which is the first of them."""
    return max(0, (alignment or "").count(">") - 1)


def _polymers(fold_input: FoldInput) -> list[Any]:
    return [*fold_input.protein_chains, *fold_input.rna_chains]


@contextlib.contextmanager
def _space_named() -> Iterator[None]:
    """Says which directory is full: else that of the output would be blamed.

    Raises:
        RuntimeError: it is the one of temporary files; the pipeline writes nowhere else.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise RuntimeError(
            f"{tempfile.gettempdir()} has no space left; set TMPDIR to a directory with more"
        ) from error


def _fill_without_search(fold_input: FoldInput) -> FoldInput:
    """What the engine's pipeline does to an input that already has everything.

    The engine's own methods do it; only their owner's constructor is skipped,
    because that demands databases which will not be read.
    """
    pipeline = engine_module("data.pipeline").DataPipeline
    bare = pipeline.__new__(pipeline)
    filled: FoldInput = bare.process(fold_input)
    return filled


def data_pipeline_config(settings: Settings) -> PipelineConfig:
    """Builds the engine's `DataPipelineConfig`; options it does not know are reported.

    Raises:
        SetupError: a binary or a database does not exist.
    """
    config_class = engine_module("data.pipeline").DataPipelineConfig
    known = {field.name for field in dataclasses.fields(config_class)}
    values: dict[str, Any] = {}
    for name in _BINARIES:
        values[f"{name}_binary_path"] = _binary(settings, name)
    for field in dataclasses.fields(settings):
        if field.name.endswith("_database_path"):
            values[field.name] = expand_database(
                getattr(settings, field.name), settings.db_dir, field.name
            )
        elif field.name.endswith(("_z_value", "_n_cpu", "_n_workers", "_max_parallel_shards")):
            values[field.name] = getattr(settings, field.name)
    values["max_template_date"] = datetime.date.fromisoformat(settings.max_template_date)
    for name in sorted(set(values) - known):
        if settings.sources.get(name, "default") != "default":
            _log.warning("--%s has no effect: the installed engine has no such option", name)
        del values[name]
    config: PipelineConfig = config_class(**values)
    return config


def _binary(settings: Settings, name: str) -> str:
    path = getattr(settings, f"{name}_binary_path")
    if path is None:
        raise SetupError(
            f"{name} is not on PATH; install HMMER, set --{name}_binary_path, or pass "
            "--norun_data_pipeline if the input brings its MSAs and templates"
        )
    if not Path(path).exists():
        raise SetupError(f"--{name}_binary_path: {path} does not exist")
    return str(path)


def expand_database(spec: str, db_dirs: tuple[str, ...], flag: str) -> str:
    """Resolves `${DB_DIR}` to the first directory that holds the database.

    Args:
        spec: Path, may contain `${DB_DIR}`, may be a shard spec such as `x.fasta@8`.
        db_dirs: Directories to try in order.
        flag: Flag the path came from, for messages.

    Raises:
        SetupError: it exists nowhere, or cannot be read more than once.
    """
    template = string.Template(spec)
    if "DB_DIR" in template.get_identifiers():
        candidates = [template.substitute(DB_DIR=directory) for directory in db_dirs]
    else:
        candidates = [spec]
    for candidate in candidates:
        files = database_files(candidate, flag)
        if all(file.exists() for file in files):
            _check_kind(files, flag)
            return candidate
    raise SetupError(
        f"--{flag}: not found: {', '.join(candidates)}; set --db_dir, or pass "
        "--norun_data_pipeline if the input brings its MSAs and templates"
        if candidates != [spec]
        else f"--{flag}: {spec} does not exist"
    )


def _check_kind(files: tuple[Path, ...], flag: str) -> None:
    """Refuses pipes and devices: whoever opens one may wait for ever."""
    for file in files:
        if not (file.is_file() or file.is_dir()):
            raise SetupError(f"--{flag}: {file} is neither a file nor a directory; name a file")
