"""`af3opt warm`: compiles ahead, so that no job waits for it."""

import dataclasses
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from af3opt.base.errors import ExitCode, UsageError
from af3opt.base.extra_flag import take_flag
from af3opt.base.standard_streams import write_out
from af3opt.commands._run_settings import asks_for_help, read_settings
from af3opt.settings.settings import Settings

if TYPE_CHECKING:
    from af3opt.execution.job.session import Session
    from af3opt.features.engine_features import Batch

SUMMARY = "compile the model in advance"

_HELP = """\
Usage: af3opt warm --buckets 256,512 [flags of af3opt run]
       af3opt warm --from_inputs DIR [--buckets 256,512] [flags of af3opt run]

Compiles the model for each bucket and stores the result, so that later runs start faster. Predicts
nothing. The compiled model depends on the host, the engine and some flags. So give the same flags
as to af3opt run: --model_dir, --num_recycles, --num_diffusion_samples, --save_embeddings,
--save_distogram, --jax_backend and so on.

  --from_inputs DIR  compile for the inputs (*.json) in DIR: for their padded sizes (with --buckets,
                     only for these), and for other properties, such as the number of MSA rows.
                     Without this flag, every bucket of --buckets is compiled for a protein without
                     modifications.
  --msa_depths LIST  numbers of MSA rows to compile for, if there is no MSA yet: for --buckets, and
                     for inputs without a finished search (unless --norun_data_pipeline). Example:
                     16,all for inputs without an MSA and for full MSAs. Numbers are rounded up as
                     in a run. Default: 16,128,512,all (all that exist).
"""

_FROM_INPUTS = "--from_inputs"
_MSA_DEPTHS = "--msa_depths"
_ALL_ROWS = "all"

_log = logging.getLogger(__name__)


def main(argv: list[str]) -> int:
    """Runs `af3opt warm` with the given flags and returns the exit code.

    Raises:
        UsageError: a flag is wrong, or none says what to compile for.
        InputError: an input cannot be featurised.
        SetupError: engine, weights, device or inputs cannot be used.
    """
    if asks_for_help(argv):
        write_out(_HELP)
        return ExitCode.OK
    name, rest = take_flag(argv, _FROM_INPUTS, "a directory")
    depths, rest = take_flag(rest, _MSA_DEPTHS, f"numbers of rows or {_ALL_ROWS}")
    folder = Path(name).expanduser() if name is not None else None
    settings = dataclasses.replace(read_settings(rest), run_inference=True)
    if folder is None and not settings.buckets:
        raise UsageError("af3opt warm: give --buckets=256,512 or --from_inputs=DIR")
    if folder is not None and not folder.is_dir():
        raise UsageError(f"{_FROM_INPUTS}={folder}: no such directory")
    _warm(settings, folder, _parse_depths(depths) if depths is not None else None)
    return ExitCode.OK


def _parse_depths(text: str) -> tuple[int | None, ...]:
    """Reads `--msa_depths`; None stands for all rows."""
    depths: list[int | None] = []
    for word in text.split(","):
        if word.strip() != _ALL_ROWS and not (word.strip().isdecimal() and int(word) > 0):
            raise UsageError(
                f"{_MSA_DEPTHS}={text}: {word!r} is neither a number of rows from 1 nor {_ALL_ROWS}"
            )
        depths.append(None if word.strip() == _ALL_ROWS else int(word))
    return tuple(depths)


def _warm(settings: Settings, folder: Path | None, depths: tuple[int | None, ...] | None) -> None:
    """Compiles; JAX is first imported below this function."""
    from af3opt.environment.startup import prepare_process

    startup = prepare_process(settings)

    from af3opt.execution.job.session import Session, import_engine
    from af3opt.execution.job.tools import start_model
    from af3opt.optimizations.msa_depth import DEPTHS

    if depths is None:
        depths = (*DEPTHS, None)
    session = Session(settings=settings, startup=startup, output_dir=Path.cwd())
    runner = start_model(session, import_engine(session)).runner
    batches = _examples(session, depths) if folder is None else _inputs(session, folder, depths)
    sizes = set()
    for batch in batches:
        sizes.add(int(batch["aatype"].shape[-1]))
        # Does nothing for shapes that it has made already.
        runner.compile(batch)
    _log.info(
        "Ready for %s tokens: %d compiled model(s)",
        ", ".join(map(str, sorted(sizes))),
        len(runner.compile_reports),
    )


def _examples(session: "Session", depths: Sequence[int | None]) -> "Iterator[Batch]":
    from af3opt.inference.example import example_batch

    for num_tokens in session.buckets:
        batch = example_batch(num_tokens, session.settings)
        yield from (_with_rows(batch, depth) for depth in depths)


def _with_rows(batch: "Batch", depth: int | None) -> "Batch":
    """Returns a batch like one whose MSA has `depth` rows, or as many as fit if None."""
    mask = batch["msa_mask"].copy()
    mask[:depth] = 1
    return {**batch, "msa_mask": mask}


def _inputs(session: "Session", folder: Path, depths: Sequence[int | None]) -> "Iterator[Batch]":
    """Featurises every input with the MSAs and templates it brings.

    One that waits for its search comes once for each depth that its MSA may have.
    """
    from af3opt.engine.inputs import load_fold_inputs, make_ccd, needs_search
    from af3opt.engine.refusals import featurising
    from af3opt.features.engine_features import featurise_with_engine
    from af3opt.features.options import FeatureOptions

    paths = sorted(path for path in folder.glob("*.json") if path.is_file())
    if not paths:
        raise UsageError(f"{_FROM_INPUTS}={folder}: holds no *.json file")
    options = FeatureOptions.from_settings(session.settings, session.buckets)
    for path in paths:
        for fold_input in load_fold_inputs(path):
            filled = fold_input.fill_missing_fields()
            ccd = make_ccd(filled.user_ccd)
            with featurising(path):
                batch = featurise_with_engine(filled, filled.rng_seeds[0], ccd, options)
            if session.settings.run_data_pipeline and needs_search(fold_input):
                yield from (_with_rows(batch, depth) for depth in depths)
            else:
                yield batch
