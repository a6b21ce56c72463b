"""`af3opt warm`: compiles ahead, so that no job waits for it."""

import dataclasses
import logging
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from af3opt.errors import ExitCode, InputError, UsageError
from af3opt.settings import Settings, resolve_settings

if TYPE_CHECKING:
    from af3opt.engine.features import Batch
    from af3opt.execution.session import Session

SUMMARY = "compile the model ahead for the sizes to come"

_HELP = """\
Usage: af3opt warm --buckets 256,512 [flags of af3opt run]
       af3opt warm --from_inputs DIR [--buckets 256,512] [flags of af3opt run]

Compiles the model for each bucket and keeps the result, so that the runs that follow start with
it. Nothing is predicted. What is compiled depends on the host, the engine and on the flags that
shape the model, so give the same ones as to af3opt run: --model_dir, --num_recycles,
--num_diffusion_samples, --save_embeddings, --save_distogram, --jax_backend and so on.

--from_inputs DIR takes the buckets that the fold inputs (*.json) in DIR will be padded to; with
--buckets, among those only. Without it every bucket of --buckets is compiled.
"""

_FROM_INPUTS = "--from_inputs"

_log = logging.getLogger(__name__)


def main(argv: list[str]) -> int:
    """Runs `af3opt warm` with the given flags and returns the exit code.

    Raises:
        UsageError: a flag is wrong, or none says what to compile for.
        InputError: an input cannot be featurised.
        SetupError: engine, weights, device or inputs cannot be used.
    """
    if {"--help", "-help", "-h"}.intersection(argv):
        sys.stdout.write(_HELP)
        return ExitCode.OK
    folder, rest = _take_folder(argv)
    settings = dataclasses.replace(
        resolve_settings(rest, os.environ), run_inference=True, run_data_pipeline=False
    )
    if folder is None and not settings.buckets:
        raise UsageError("af3opt warm: give --buckets=256,512 or --from_inputs=DIR")
    if folder is not None and not folder.is_dir():
        raise UsageError(f"{_FROM_INPUTS}={folder}: no such directory")
    _warm(settings, folder)
    return ExitCode.OK


def _take_folder(argv: Sequence[str]) -> tuple[Path | None, list[str]]:
    """Separates af3opt warm's own flag from those it shares with `run`."""
    folder: Path | None = None
    rest = []
    arguments = iter(argv)
    for argument in arguments:
        name, equals, value = argument.partition("=")
        if name != _FROM_INPUTS:
            rest.append(argument)
            continue
        value = value if equals else next(arguments, "")
        if not value:
            raise UsageError(f"{_FROM_INPUTS} needs a directory")
        folder = Path(value).expanduser()
    return folder, rest


def _warm(settings: Settings, folder: Path | None) -> None:
    """Compiles; JAX is first imported below this function."""
    from af3opt.startup import prepare_process

    startup = prepare_process(settings)

    from af3opt.execution.session import Session

    session = Session(settings=settings, startup=startup, output_dir=Path.cwd())
    runner = session.runner
    batches = _examples(session) if folder is None else _inputs(session, folder)
    sizes: set[int] = set()
    for batch in batches:
        num_tokens = int(batch["aatype"].shape[-1])
        if num_tokens not in sizes:
            sizes.add(num_tokens)
            runner.compile(batch)
    _log.info("Ready for %s tokens", ", ".join(map(str, sorted(sizes))))


def _examples(session: "Session") -> "Iterator[Batch]":
    from af3opt.inference.example import example_batch

    for num_tokens in session.buckets:
        yield example_batch(num_tokens, session.settings)


def _inputs(session: "Session", folder: Path) -> "Iterator[Batch]":
    """Featurises every input with the MSAs and templates it brings, or none."""
    from af3opt.engine.features import featurise_with_engine, make_ccd
    from af3opt.engine.inputs import load_fold_inputs

    paths = sorted(path for path in folder.glob("*.json") if path.is_file())
    if not paths:
        raise UsageError(f"{_FROM_INPUTS}={folder}: holds no *.json file")
    for path in paths:
        for fold_input in load_fold_inputs(path):
            filled = fold_input.fill_missing_fields()
            ccd = make_ccd(filled.user_ccd)
            try:
                batch = featurise_with_engine(
                    filled, filled.rng_seeds[0], ccd, session.feature_options
                )
            except (ValueError, KeyError) as error:
                raise InputError(f"{path}: cannot be featurised: {error}") from error
            yield batch
